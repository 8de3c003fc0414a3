// process.stdout, process.stderr and the console as reports, so that what is printed and events keep their order.

import { StringDecoder } from "node:string_decoder";

import { LINE_LIMIT, levelOf } from "./lines.mjs";

// What the console's methods say about a line; the others follow their stream.
const LEVELS = { debug: "debug", warn: "warning", error: "error", trace: "debug" };

/** Put our writing in the place of the streams' own; call what is returned when the run is over. */
export function install(reporter) {
  const spoken = { level: null };
  const finish = ["stdout", "stderr"].map((name) => replace(process[name], name, reporter, spoken));
  for (const [method, level] of Object.entries(LEVELS)) speak(method, level, spoken);
  return () => finish.forEach((each) => each());
}

function replace(stream, name, reporter, spoken) {
  const decoder = new StringDecoder("utf8");
  let held = "";
  const log = (line) => {
    const text = lastState(line).replace(/\r+$/, "");
    reporter.log(spoken.level ?? levelOf(name, text), text, name);
  };
  stream.write = (data, encoding, callback) => {
    const done = typeof encoding === "function" ? encoding : callback;
    const text = typeof data === "string" ? data : decoder.write(Buffer.from(data.buffer, data.byteOffset, data.length));
    const lines = (held + text).split("\n");
    // Past a limit the rest of the line is cut anyway; a carriage return starts the line over.
    held = lastState(lines.pop()).slice(0, LINE_LIMIT + 1);
    lines.forEach(log);
    if (typeof done === "function") process.nextTick(done);
    return true;
  };
  return () => {
    const rest = held;
    held = "";
    if (rest) log(rest);
  };
}

function speak(method, level, spoken) {
  const original = console[method].bind(console);
  console[method] = (...given) => {
    const before = spoken.level;
    spoken.level = level;
    try {
      original(...given);
    } finally {
      spoken.level = before;
    }
  };
}

// What a terminal shows of a line with carriage returns in it; those at its end stay.
function lastState(line) {
  const end = line.replace(/\r+$/, "").length;
  return line.slice(line.lastIndexOf("\r", end - 1) + 1);
}
