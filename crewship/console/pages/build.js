// The log of a version's build, live.
import { html, useState } from "../html.js";
import { useEvents } from "../live.js";
import { url } from "../api.js";
import { Problem } from "../parts.js";
import { VirtualList } from "../virtual.js";

const ended = (event) => event.event === "version.ready" || event.event === "version.failed";

export function BuildLog({ id }) {
  const { events, state, error } = useEvents(url`/v1/versions/${id}/events`, ended);
  const [tail, setTail] = useState(true);
  const lines = events.filter((event) => event.type === "log");
  const last = events.at(-1);
  const row = ({ payload }) => html`<span class="level ${payload.level}">${payload.level}</span><span class="what mono">${payload.message}</span>`;
  const failed = last?.type === "version.failed";
  return html`<div class="logs">
    ${state === "refused" && html`<${Problem} error=${error} />`}
    ${lines.length ? html`<${VirtualList} items=${lines} row=${row} height=${24} label="Build log" tail=${tail} onTail=${setTail} />` : html`<p class="faint">Nothing was said${ended({ event: last?.type }) ? "." : " yet."}</p>`}
    <p role="status">${failed ? html`<span class="status failed"><span class="dot"></span>failed</span>` : last?.type === "version.ready" ? html`<span class="status ready"><span class="dot"></span>ready</span>` : html`<span class="faint">${state === "lost" ? "Reconnecting…" : "Building…"}</span>`}</p>
    ${failed && html`<pre tabindex="0" class="wraps">${last.payload.error}</pre>`}
  </div>`;
}
