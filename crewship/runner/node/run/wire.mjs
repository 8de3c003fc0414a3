// A thread's state on its way through the server: bytes that only this runner reads, as text. As run/wire.py has it.

/** A channel that has a version and holds nothing. */
export const EMPTY = ["empty", Buffer.alloc(0)];

/** Several dumps as one text: base64 of a line of JSON with their types and sizes, then their bytes. */
export function pack(...parts) {
  const head = JSON.stringify(parts.map(([kind, data]) => [kind, data.length]));
  return Buffer.concat([Buffer.from(`${head}\n`), ...parts.map(([, data]) => data)]).toString("base64");
}

/** What was packed. Throws for anything else. */
export function unpack(text) {
  const whole = Buffer.from(text, "base64");
  const split = whole.indexOf(10);
  let at = split + 1;
  const parts = JSON.parse(whole.toString("utf8", 0, Math.max(0, split))).map(([kind, size]) => {
    at += size;
    return [String(kind), whole.subarray(at - size, at)];
  });
  if (at !== whole.length) throw new Error("the sizes do not fit");
  return parts;
}
