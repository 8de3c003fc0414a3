// Small parts that many pages are made of.
import { html, useState, useEffect, useRef } from "./html.js";
import * as format from "./format.js";
import { get } from "./api.js";
import { arrival, setQuery } from "./route.js";

const SESSION = { scopes: [] };
/** Remember who is signed in: {name, scopes}. */
export function remember(session) {
  Object.assign(SESSION, session);
}
/** Whether whoever is signed in may do what needs this scope. */
export const may = (scope) => SESSION.scopes.includes(scope);
export const whoami = () => SESSION;

export const Time = ({ at }) => (at ? html`<time datetime=${at} title=${new Date(at).toString()}>${format.time(at)}</time>` : html`<span class="faint">–</span>`);

export const Status = ({ status }) => html`<span class="status ${status}"><span class="dot" aria-hidden="true"></span>${status}</span>`;

export const Code = ({ children }) => html`<code class="id">${children}</code>`;

export function Copy({ text, label = "Copy" }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await write(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return html`<button type="button" class="quiet small" onClick=${copy} aria-label=${label}>${done ? "Copied" : "Copy"}</button>`;
}

async function write(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Plain http on a host other than localhost: browsers have no clipboard there.
  const area = Object.assign(document.createElement("textarea"), { value: text });
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

export const Problem = ({ error, children }) =>
  error ? html`<p class="problem" role="alert">${error.message ?? String(error)}${children}</p>` : null;

export const Empty = ({ title, children }) => html`<div class="empty"><p class="title">${title}</p>${children && html`<div>${children}</div>`}</div>`;

/** What `live` (of useLive) has: the children once there is data, an error, or that it is being read. */
export function Loaded({ live, children }) {
  if (live.data) {
    return html`${live.error && live.error.status !== 0 && html`<${Problem} error=${live.error} />`}${children(live.data)}`;
  }
  if (live.error) return html`<${Problem} error=${live.error} />`;
  return html`<p class="faint loading" role="status">Loading…</p>`;
}

export function Page({ title, name, back, actions, children }) {
  const heading = useRef(null);
  useEffect(() => {
    document.title = `${name ?? title} · Crewship`;
  }, [name, title]);
  useEffect(() => {
    // Going somewhere begins at its heading, for screen readers and the keyboard.
    if (arrival.pending || document.activeElement === document.body) heading.current.focus({ preventScroll: true });
    arrival.pending = false;
  }, []);
  return html`<header class="page">
      <div class="titles">
        ${back && html`<a class="back" href=${back.href}>${back.text}</a>`}
        <h1 tabindex="-1" ref=${heading}>${title}</h1>
      </div>
      ${actions && html`<div class="actions">${actions}</div>`}
    </header>
    ${children}`;
}

/** Tabs as links into the address; `tabs` is [[id, label, count?], …]. */
export function Tabs({ tabs, current, onPick, label }) {
  const list = useRef(null);
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const at = (tabs.findIndex(([id]) => id === current) + step + tabs.length) % tabs.length;
    onPick(tabs[at][0]);
    list.current.children[at].focus();
  };
  return html`<div class="tabs" role="tablist" aria-label=${label} ref=${list} onKeyDown=${move}>
    ${tabs.map(
      ([id, text, count]) => html`<button
        type="button"
        role="tab"
        id="tab-${id}"
        aria-controls="panel"
        aria-selected=${id === current ? "true" : "false"}
        tabindex=${id === current ? 0 : -1}
        onClick=${() => onPick(id)}
      >
        ${text}${count !== undefined && html` <span class="count">${format.number(count)}</span>`}
      </button>`,
    )}
  </div>`;
}

/** A row of fields that filter a list by the address's parameters. */
export function Filters({ children }) {
  return html`<form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>${children}</form>`;
}

export function Choice({ name, label, value, options, onPick = (picked) => setQuery({ [name]: picked, offset: "" }) }) {
  return html`<label class="field">
    <span>${label}</span>
    <select name=${name} value=${value ?? ""} onChange=${(event) => onPick(event.target.value)}>
      ${options.map(([id, text]) => html`<option value=${id} selected=${id === (value ?? "")}>${text}</option>`)}
    </select>
  </label>`;
}

/** A text field that filters, a moment after the last key. */
export function Search({ label, value, onSearch, placeholder }) {
  const timer = useRef(null);
  const typed = (event) => {
    const text = event.target.value;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => onSearch(text), 200);
  };
  useEffect(() => () => clearTimeout(timer.current), []);
  return html`<label class="field grows">
    <span>${label}</span>
    <input type="search" data-search value=${value ?? ""} placeholder=${placeholder} onInput=${typed} />
  </label>`;
}

/** Newer and older pages of a list, kept in the address as `offset`. */
export function Pager({ count, limit, offset }) {
  if (offset === 0 && count < limit) return null;
  const to = (at) => () => setQuery({ offset: at || "" });
  return html`<nav class="pager" aria-label="Pages">
    <button type="button" class="quiet" disabled=${offset === 0} onClick=${to(Math.max(0, offset - limit))}>← Newer</button>
    <span class="faint">${count ? `${format.number(offset + 1)}–${format.number(offset + count)}` : "nothing here"}</span>
    <button type="button" class="quiet" disabled=${count < limit} onClick=${to(offset + limit)}>Older →</button>
  </nav>`;
}

/** A dialog: the browser's own, which keeps the focus inside and closes on Escape. */
export function Dialog({ title, onClose, children, wide = false }) {
  const dialog = useRef(null);
  useEffect(() => {
    if (!dialog.current.open) dialog.current.showModal();
  }, []);
  const outside = (event) => event.target === dialog.current && onClose();
  return html`<dialog ref=${dialog} class=${wide ? "wide" : ""} aria-label=${title} onClose=${onClose} onMouseDown=${outside}>
    <div class="inside">
      <header><h2>${title}</h2><button type="button" class="quiet" onClick=${onClose} aria-label="Close">✕</button></header>
      ${children}
    </div>
  </dialog>`;
}

/** Something to press that does something: it waits, and shows what went wrong. */
export function Action({ run, children, kind = "", disabled = false, confirm: question, label }) {
  const [state, setState] = useState({});
  const alive = useRef(true);
  useEffect(() => () => void (alive.current = false), []);
  const press = async () => {
    if (question && !window.confirm(question)) return;
    setState({ busy: true });
    try {
      await run();
      if (alive.current) setState({});
    } catch (error) {
      if (alive.current) setState({ error });
    }
  };
  return html`<span class="action">
    <button type="button" class=${kind} disabled=${disabled || state.busy} aria-busy=${state.busy ? "true" : undefined} aria-label=${label} onClick=${press}>${children}</button>
    <${Problem} error=${state.error} />
  </span>`;
}

/** A form whose submit waits, and shows what went wrong. `onSubmit` gets the fields by name. */
export function Form({ onSubmit, submit, onCancel, children, danger = false }) {
  const [state, setState] = useState({});
  const alive = useRef(true);
  useEffect(() => () => void (alive.current = false), []);
  const send = async (event) => {
    event.preventDefault();
    const fields = new FormData(event.target);
    setState({ busy: true });
    try {
      await onSubmit(Object.fromEntries(fields), fields);
      if (alive.current) setState({});
    } catch (error) {
      if (alive.current) setState({ error });
    }
  };
  return html`<form class="form" onSubmit=${send}>
    ${children}
    <${Problem} error=${state.error} />
    <div class="buttons">
      ${onCancel && html`<button type="button" class="quiet" onClick=${onCancel}>Cancel</button>`}
      <button type="submit" class=${danger ? "danger" : "primary"} disabled=${state.busy}>${submit}</button>
    </div>
  </form>`;
}

export function Field({ label, hint, children }) {
  return html`<label class="field"><span>${label}</span>${children}${hint && html`<small>${hint}</small>`}</label>`;
}

/** A text area for JSON that says at once what is wrong with it. */
export function JsonField({ name, label, value, rows = 8, hint }) {
  const [text, setText] = useState(typeof value === "string" ? value : JSON.stringify(value ?? {}, null, 2));
  const { problem } = text.trim() ? format.parse(text) : {};
  return html`<label class="field">
    <span>${label}</span>
    <textarea name=${name} rows=${rows} spellcheck="false" class="code" value=${text} aria-invalid=${problem ? "true" : undefined} onInput=${(event) => setText(event.target.value)}></textarea>
    ${problem ? html`<small class="wrong">${problem}</small>` : hint && html`<small>${hint}</small>`}
  </label>`;
}

/** The JSON of a field, or an Error that names it. */
export function fieldJson(text, name, empty = {}) {
  if (!text.trim()) return empty;
  const { value, problem } = format.parse(text);
  if (problem) throw new Error(`${name} is not JSON: ${problem}`);
  return value;
}

/** Names of deployments by their id, read once a page. */
export function useDeployments(watched) {
  const [found, setFound] = useState(null);
  useEffect(() => {
    let wanted = true;
    (async () => {
      const all = [];
      for (;;) {
        const { deployments } = await get(`/v1/deployments?limit=100&offset=${all.length}`);
        all.push(...deployments);
        if (deployments.length < 100 || all.length >= 1000) break;
      }
      if (wanted) setFound(all);
    })().catch(() => wanted && setFound((was) => was ?? []));
    return () => (wanted = false);
  }, [watched]);
  return found;
}
