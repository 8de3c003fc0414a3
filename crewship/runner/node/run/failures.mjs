// An error as the project's author wants to read it: what it says, and a trace without our own frames.

import fs from "node:fs";
import { SourceMap } from "node:module";

import { shown } from "./jsonable.mjs";

const COMPILED = /(?:file:\/\/)?(\/\S*?\/)\.crewship\/entrypoint\.[cm]js:(\d+):(\d+)/g; // places in what a build made
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
  const kept = stack.split("\n").filter((line) => !ours(line));
  return kept.join("\n").replace(COMPILED, sourceOf);
}

// The place in the project's own file that was compiled to this one.
function sourceOf(compiled, app, line, column) {
  try {
    const file = compiled.replace(/^file:\/\//, "").replace(/:\d+:\d+$/, ".map");
    const map = new SourceMap(JSON.parse(fs.readFileSync(file, "utf8")));
    const { originalSource, originalLine, originalColumn } = map.findEntry(Number(line) - 1, Number(column) - 1);
    if (originalSource === undefined) return compiled;
    return `${app}${originalSource.replace(/^(\.\.\/)+/, "")}:${originalLine + 1}:${originalColumn + 1}`;
  } catch {
    return compiled;
  }
}

// Of another realm (a vm context), or of a library that makes its own.
function isErrorLike(value) {
  return typeof value === "object" && value !== null && typeof value.message === "string" && "stack" in value;
}
