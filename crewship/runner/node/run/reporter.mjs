// Reports to the guard: one JSON line each over the report pipe.

import fs from "node:fs";

import { dumps } from "./jsonable.mjs";
import { shorten } from "./lines.mjs";

const RESULT_LIMIT = 32 * 1024 * 1024; // bytes of an output, or of what a thread keeps; the guard refuses what is larger
const REPORT_LIMIT = 4 * 1024 * 1024; // bytes of every other report
const ERROR_LIMIT = 64 * 1024; // bytes of an error's message
const TRACE_LIMIT = 256 * 1024; // bytes of a stack trace

/** What a thread keeps cannot be shortened; the message says what was too large. */
export class TooLarge extends Error {}

/** Writes whole lines, at once: when a method returns, the guard has what was reported. */
export class Reporter {
  #fd;
  /** Called before the last words. */
  finishing = [];

  constructor(fd) {
    this.#fd = fd;
  }

  /** Send one report; values become JSON whatever they are. */
  report(kind, fields) {
    let line = dumps({ type: kind, ...fields });
    if (Buffer.byteLength(line) > REPORT_LIMIT && kind !== "error") {
      const fitting = Object.entries(fields).map(([name, value]) => [name, fit(value)]);
      line = dumps({ type: kind, ...Object.fromEntries(fitting) });
    }
    this.#send(line);
  }

  /** Send what a thread keeps, whole. Throws TooLarge. */
  keep(kind, fields) {
    const line = dumps({ type: kind, ...fields });
    const size = Buffer.byteLength(line);
    if (size > RESULT_LIMIT) {
      throw new TooLarge(`the thread's state is too large: one report (${kind}) has ${size >> 20} MiB, not 32`);
    }
    this.#send(line);
  }

  /** Send one log line; the message is cut to 64 KiB. */
  log(level, message, stream) {
    const [text, truncated] = shorten(message);
    this.report("log", { level, message: text, stream, truncated });
  }

  /** Send the run's output; an error instead where it is too large. */
  result(output) {
    this.#finish();
    const line = dumps({ type: "result", output: output === undefined ? null : output });
    if (Buffer.byteLength(line) - '{"type":"result","output":}'.length > RESULT_LIMIT) {
      this.error("output is larger than 32 MiB", null);
    } else {
      this.#send(line);
    }
  }

  /** Send why the run failed; `unusable`: it could not start from its thread's state. */
  error(error, trace, { unusable = false } = {}) {
    this.#finish();
    const stack = trace && shorten(trace, TRACE_LIMIT)[0];
    this.report("error", { error: shorten(error, ERROR_LIMIT)[0], stack_trace: stack, ...(unusable && { unusable }) });
  }

  #finish() {
    for (const finish of this.finishing) finish();
  }

  #send(line) {
    let data = Buffer.from(`${line}\n`);
    while (data.length) {
      try {
        data = data.subarray(fs.writeSync(this.#fd, data));
      } catch (fault) {
        if (fault.code === "EAGAIN") continue; // somebody made the pipe non-blocking
        if (fault.code === "EPIPE" || fault.code === "EBADF") return; // the guard is gone, and with it every reader
        throw fault;
      }
    }
  }
}

// The value, or a note in its place where it is too large for an event.
function fit(value) {
  const size = Buffer.byteLength(dumps(value) ?? "");
  return size < REPORT_LIMIT / 4 ? value : `(${size} bytes of JSON, too large for an event)`;
}
