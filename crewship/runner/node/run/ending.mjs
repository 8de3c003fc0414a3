// The last words of a run, and its exit status.

import { messageOf, traceOf } from "./failures.mjs";

const LINGER = 3000; // milliseconds that what the project left open may keep the process after the last words
const PATIENCE = 2000; // milliseconds in which a graph that was asked to stop is to let go by itself
const STOPPED = 128 + 15; // exit status of a run that was asked to stop and did

/** Why a run cannot go on, said to the project's author; where in our code it was found is of no use to them. */
export class Problem extends Error {}

/** What the thread remembers cannot be taken in by this version of the project. */
export class Unreadable extends Problem {}

/** Says the last words as soon as they are known, and once: what is said first counts. */
export class Ending {
  #reporter;
  #over = false;
  #stopped = new AbortController();
  #exit = process.exit.bind(process);
  #called = false;

  /** From now on every way out of this process leaves last words. */
  constructor(reporter) {
    this.#reporter = reporter;
    process.once("SIGTERM", () => this.#stop());
    process.on("uncaughtException", (error) => this.#uncaught(error));
    process.on("exit", (code) => this.#leaving(code));
    process.exit = (code) => {
      this.#called = true;
      return this.#exit(code);
    };
  }

  /** Fires when the run is asked to stop. */
  get stopping() {
    return this.#stopped.signal;
  }

  /** There is a result. */
  succeed(output) {
    if (!this.#over) this.#end(0, () => this.#reporter.result(output));
  }

  /** There is none, and why. */
  fail(error) {
    if (this.#over) return;
    if (this.stopping.aborted) {
      this.#end(STOPPED, () => this.#reporter.error("the run was asked to stop", null));
      return;
    }
    const [message, trace] = error instanceof Problem ? [error.message, null] : [messageOf(error), traceOf(error)];
    this.#end(1, () => this.#reporter.error(message, trace, { unusable: error instanceof Unreadable }));
  }

  #end(code, say) {
    this.#over = true;
    say();
    process.exitCode = code;
    setTimeout(() => this.#leaveNow(code), LINGER).unref();
  }

  #leaveNow(code) {
    const open = (process.getActiveResourcesInfo?.() ?? []).filter((kind) => kind !== "Timeout");
    const kinds = [...new Set(open)].join(", ") || "timers";
    this.#reporter.log("info", `The run is over; what the project left open is closed: ${kinds}`, "runner");
    this.#exit(code);
  }

  #stop() {
    this.#stopped.abort();
    setTimeout(() => {
      this.fail(null);
      this.#exit(STOPPED);
    }, PATIENCE).unref();
  }

  #uncaught(error) {
    if (this.#over) {
      this.#reporter.log("error", `After the run was over: ${messageOf(error)}`, "runner");
      return;
    }
    this.fail(error);
    this.#exit(process.exitCode);
  }

  #leaving(code) {
    if (this.#over) return;
    this.#over = true;
    const called = `the project's code called process.exit(${code}) before there was a result`;
    const waits = "the run waits for something that can never come: nothing is left to do, and there is no result";
    this.#reporter.error(this.#called ? called : waits, null);
    process.exitCode = code || 1;
  }
}
