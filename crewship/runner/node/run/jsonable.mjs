// Whatever a project's graph holds, as JSON. Nothing here throws: what has no better form becomes what inspect shows.

import util from "node:util";

const DEPTH = 64; // containers inside containers; what is deeper is shown as text
const SHOWN_LIMIT = 10_000; // characters of what is shown as text

/**
 * The value in terms of plain objects, arrays, strings, finite numbers, booleans and null.
 *
 * LangChain's messages become flat objects with a `type`, dates ISO 8601, maps objects, sets arrays, bytes base64, big
 * integers numbers where they fit, NaN null and infinities text. A container inside itself, or deeper than `DEPTH`, is
 * shown as text. Like JSON.stringify, it leaves out what is undefined or a function in an object.
 */
export function jsonable(value) {
  return convert(value, []);
}

/** The value as one line of JSON. */
export function dumps(value) {
  return JSON.stringify(jsonable(value));
}

/** The value as Node's inspect shows it, cut. */
export function shown(value) {
  try {
    return wellFormed(util.inspect(value, { depth: 3, breakLength: Infinity }).slice(0, SHOWN_LIMIT));
  } catch {
    return `<${typeof value}>`;
  }
}

function convert(value, above) {
  try {
    if (value === null || value === undefined || typeof value !== "object") return simple(value);
    if (above.length >= DEPTH || above.includes(value)) return shown(value);
    return compound(value, [...above, value]);
  } catch {
    return shown(value); // a getter or a toJSON of the project's failed
  }
}

function simple(value) {
  switch (typeof value) {
    case "string":
      return wellFormed(value);
    case "number":
      return Number.isFinite(value) ? value : Number.isNaN(value) ? null : String(value);
    case "bigint":
      return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
    case "boolean":
      return value;
    case "undefined":
      return null;
    default:
      return value === null ? null : shown(value);
  }
}

function compound(value, above) {
  const inner = (each) => convert(each, above);
  if (Array.isArray(value)) return value.map(inner);
  if (value instanceof Map) return object([...value].map(([key, item]) => [String(key), item]), inner);
  if (value instanceof Set) return [...value].map(inner);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof Error) return shown(`${value.name}: ${value.message}`);
  if (value instanceof URL || value instanceof RegExp) return String(value);
  if (value instanceof ArrayBuffer) return Buffer.from(value).toString("base64");
  if (ArrayBuffer.isView(value)) return bytesOrNumbers(value);
  if (isMessage(value)) return object(Object.entries(message(value)), inner);
  if (typeof value.toJSON === "function") return inner(value.toJSON());
  if (value instanceof Promise || value instanceof WeakMap) return shown(value);
  return object(Object.entries(value), inner);
}

function bytesOrNumbers(value) {
  if (value instanceof Uint8Array || value instanceof DataView) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
  }
  return Array.from(value, simple);
}

function isMessage(value) {
  return "content" in value && (typeof value.getType === "function" || typeof value._getType === "function");
}

// As the API of LangGraph's own server shows them: the fields of the message and its type side by side.
function message(value) {
  const type = typeof value.getType === "function" ? value.getType() : value._getType();
  const fields = (typeof value.toJSON === "function" ? value.toJSON().kwargs : null) ?? {};
  const known = ["content", "id", "name", "tool_calls", "tool_call_id", "usage_metadata"];
  const own = Object.fromEntries(known.filter((name) => value[name] !== undefined).map((name) => [name, value[name]]));
  return { ...fields, ...own, type };
}

function object(entries, inner) {
  const made = {};
  for (const [key, item] of entries) {
    if (item === undefined || typeof item === "function" || typeof item === "symbol") continue;
    Object.defineProperty(made, wellFormed(key), { value: inner(item), enumerable: true, configurable: true, writable: true });
  }
  return made;
}

// A lone surrogate, which no UTF-8 can hold, becomes a replacement character.
function wellFormed(text) {
  return text.toWellFormed ? text.toWellFormed() : Buffer.from(text, "utf8").toString("utf8");
}
