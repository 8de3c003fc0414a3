// A value as a tree to read: folded where it is deep, cut where it is long, whole on request.
import { html, useState } from "./html.js";
import { Copy } from "./parts.js";
import { brief, plural, size } from "./format.js";

const OPEN_TO = 2;
const AT_ONCE = 100;
const LONG_TEXT = 600;

export function Tree({ value, label }) {
  if (value === null || value === undefined) return html`<p class="faint">nothing</p>`;
  return html`<div class="tree">
    <div class="corner"><${Copy} text=${JSON.stringify(value, null, 2)} label="Copy ${label ?? "the value"} as JSON" /></div>
    <${Node} value=${value} depth=${0} />
  </div>`;
}

function Node({ name, value, depth }) {
  const shown = name !== undefined && html`<span class="key">${name}</span>`;
  if (value !== null && typeof value === "object") {
    if (value.$truncated) return html`<div class="leaf">${shown}<${Cut} cut=${value.$truncated} /></div>`;
    return html`<${Branch} shown=${shown} value=${value} depth=${depth} />`;
  }
  return html`<div class="leaf">${shown}<${Leaf} value=${value} /></div>`;
}

function Branch({ shown, value, depth }) {
  const [open, setOpen] = useState(depth < OPEN_TO);
  const [most, setMost] = useState(AT_ONCE);
  const list = Array.isArray(value);
  const keys = list ? null : Object.keys(value);
  const count = list ? value.length : keys.length;
  if (count === 0) return html`<div class="leaf">${shown}<span class="faint">${list ? "[ ]" : "{ }"}</span></div>`;
  const entries = [];
  if (open) for (let at = 0; at < Math.min(count, most); at += 1) entries.push(list ? [at, value[at]] : [keys[at], value[keys[at]]]);
  return html`<div class="branch">
    <button type="button" class="fold" aria-expanded=${open ? "true" : "false"} onClick=${() => setOpen(!open)}>
      <span class="caret" aria-hidden="true">${open ? "▾" : "▸"}</span>${shown}
      <span class="faint">${list ? plural(count, "item") : plural(count, "field")}${!open && html` · ${brief(value, 60)}`}</span>
    </button>
    ${open &&
    html`<div class="children">
      ${entries.map(([key, child]) => html`<${Node} key=${key} name=${key} value=${child} depth=${depth + 1} />`)}
      ${count > most && html`<button type="button" class="quiet small" onClick=${() => setMost(most + AT_ONCE * 5)}>${plural(count - most, "more")}</button>`}
    </div>`}
  </div>`;
}

function Leaf({ value }) {
  const [whole, setWhole] = useState(false);
  if (typeof value !== "string") return html`<span class="literal">${String(value)}</span>`;
  if (value === "") return html`<span class="faint">""</span>`;
  const long = value.length > LONG_TEXT && !whole;
  return html`<span class="string">${long ? value.slice(0, LONG_TEXT) : value}</span>
    ${long && html`<button type="button" class="quiet small" onClick=${() => setWhole(true)}>… ${plural(value.length - LONG_TEXT, "more character")}</button>`}`;
}

const Cut = ({ cut }) => html`<span class="string">${cut.preview}</span><span class="faint"> … cut here: ${size(cut.size)} in all</span>`;
