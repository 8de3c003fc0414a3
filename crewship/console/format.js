// Figures as people read them.
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const YEAR = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });
const NUMBER = new Intl.NumberFormat(undefined);

export const number = (value) => NUMBER.format(value);

/** "14:03:09" for today, "Nov 24, 14:03:09" before. */
export function time(iso) {
  if (!iso) return "–";
  const at = new Date(iso);
  const now = new Date();
  if (at.toDateString() === now.toDateString()) return TIME.format(at);
  return `${(at.getFullYear() === now.getFullYear() ? DAY : YEAR).format(at)}, ${TIME.format(at)}`;
}

export function duration(ms) {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
}

export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let value = bytes / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${value.toFixed(value < 10 ? 1 : 0)} ${units[unit]}`;
}

export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

/** A value on one line. */
export function brief(value, most = 160) {
  if (typeof value?.content === "string" && (value.type || value.role)) return brief(`${value.role ?? value.type}: ${value.content}`, most);
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  const line = text.length > most * 4 ? text.slice(0, most * 4) : text;
  const flat = line.replace(/\s+/g, " ").trim();
  return flat.length > most ? `${flat.slice(0, most)}…` : flat;
}

/** The value of a whole JSON text, or what is wrong with it: {value} or {problem}. */
export function parse(text) {
  try {
    return { value: JSON.parse(text) };
  } catch (fault) {
    return { problem: fault.message };
  }
}
