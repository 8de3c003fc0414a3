// A list of thousands of rows of one height, of which only those in sight are in the page.
import { html, useState, useRef, useEffect, useLayoutEffect } from "./html.js";

const AROUND = 12;

/** `row(item, at)` draws one; `onPick(at)` hears a click or Enter; with `tail` it stays at the end as it grows. */
export function VirtualList({ items, row, height = 28, picked = -1, onPick = () => {}, label, tail = false, onTail = () => {} }) {
  const box = useRef(null);
  const [view, setView] = useState({ top: 0, rows: 20 });
  const scrolled = () => {
    const { scrollTop, clientHeight, scrollHeight } = box.current;
    setView({ top: Math.floor(scrollTop / height), rows: Math.ceil(clientHeight / height) });
    onTail(scrollTop + clientHeight >= scrollHeight - height);
  };
  useEffect(() => {
    const watcher = new ResizeObserver(() => box.current && setView((was) => ({ ...was, rows: Math.ceil(box.current.clientHeight / height) })));
    watcher.observe(box.current);
    return () => watcher.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (tail) box.current.scrollTop = box.current.scrollHeight;
  }, [items.length, tail]);
  const from = Math.max(0, Math.min(view.top, items.length - view.rows) - AROUND);
  const to = Math.min(items.length, view.top + view.rows + AROUND);
  const keys = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: view.rows, PageUp: -view.rows, Home: -items.length, End: items.length }[event.key];
    if (!step || !items.length) return;
    event.preventDefault();
    const at = Math.max(0, Math.min(items.length - 1, (picked < 0 ? -1 : picked) + step));
    onPick(at);
    const top = at * height;
    const { scrollTop, clientHeight } = box.current;
    if (top < scrollTop) box.current.scrollTop = top;
    else if (top + height > scrollTop + clientHeight) box.current.scrollTop = top + height - clientHeight;
  };
  const shown = [];
  for (let at = from; at < to; at += 1) {
    shown.push(html`<div
      key=${at}
      id="row-${at}"
      role="option"
      aria-selected=${at === picked ? "true" : "false"}
      class="row"
      style=${{ top: `${at * height}px`, height: `${height}px` }}
      onClick=${() => onPick(at)}
    >
      ${row(items[at], at)}
    </div>`);
  }
  const active = picked >= from && picked < to ? `row-${picked}` : undefined;
  return html`<div class="virtual" role="listbox" tabindex="0" aria-label=${label} aria-activedescendant=${active} ref=${box} onScroll=${scrolled} onKeyDown=${keys}>
    <div role="presentation" style=${{ height: `${items.length * height}px` }}>${shown}</div>
  </div>`;
}
