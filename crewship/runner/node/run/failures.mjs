// An error as the project's author wants to read it: what it says, and a trace without our own frames.

import { shown } from "./jsonable.mjs";

const OURS = new URL("..", import.meta.url).href;

/** `TypeName: message`. */
export function messageOf(error) {
  if (!(error instanceof Error) && !isErrorLike(error)) return `${typeof error} thrown: ${shown(error)}`;
  try {
    const name = error.name && error.name !== "Error" ? error.name : error.constructor?.name || "Error";
    return error.message ? `${name}: ${error.message}` : name;
  } catch {
    return "Error";
  }
}

/** The stack trace as Node prints it; frames of the runner and of Node itself are left out. Null where there is none. */
export function traceOf(error) {
  const traces = [];
  const seen = new Set();
  for (let each = error; each && typeof each === "object" && !seen.has(each); each = each.cause) {
    seen.add(each);
    if (typeof each.stack === "string") traces.push(trimmed(each.stack));
  }
  return traces.length ? traces.join("\nCaused by: ") : null;
}

function trimmed(stack) {
  const ours = (line) => /^\s+at /.test(line) && (line.includes(OURS) || /[( ]node:/.test(line));
  return stack
    .split("\n")
    .filter((line) => !ours(line))
    .join("\n");
}

// Of another realm (a vm context), or of a library that makes its own.
function isErrorLike(value) {
  return typeof value === "object" && value !== null && typeof value.message === "string" && "stack" in value;
}
