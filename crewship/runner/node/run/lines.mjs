// Text into lines, with bounded memory whatever comes. As crewship_runner/lines.py.

export const LINE_LIMIT = 64 * 1024; // bytes of one log line; what is longer is cut

const LEVEL_WORD = /\b(DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL)\b/;
const LEVELS = { WARN: "warning", FATAL: "critical" };

/** The text, cut to `limit` bytes of UTF-8, and whether it had to be; NUL becomes U+FFFD. */
export function shorten(text, limit = LINE_LIMIT) {
  const clean = text.includes("\0") ? text.replaceAll("\0", "\ufffd") : text;
  if (clean.length * 3 <= limit) return [clean, false];
  const data = Buffer.from(clean);
  if (data.length <= limit) return [clean, false];
  let end = limit;
  while (end > 0 && (data[end] & 0xc0) === 0x80) end--; // not in the middle of a character
  return [data.toString("utf8", 0, end), true];
}

/** The level of a printed line: info on stdout; on stderr what the line itself names, else warning. */
export function levelOf(stream, message) {
  if (stream !== "stderr") return "info";
  const named = LEVEL_WORD.exec(message.slice(0, 80));
  if (named === null) return "warning";
  return LEVELS[named[1]] ?? named[1].toLowerCase();
}
