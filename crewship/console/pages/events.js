// The events of a run as a list that one can search, and its log lines.
import { html, useState, useMemo } from "../html.js";
import { Copy, Search } from "../parts.js";
import { brief, duration, number, time } from "../format.js";
import { Tree } from "../tree.js";
import { VirtualList } from "../virtual.js";

const LEVELS = ["debug", "info", "warning", "error", "critical"];

/** What an event says on one line. */
export function summary({ type, payload }) {
  if (payload.erased) return payload.tool ? `${payload.tool}: erased` : "erased";
  switch (type) {
    case "agent.started":
      return [payload.agent, payload.task].filter(Boolean).join(": ");
    case "agent.completed":
      return `${payload.agent} → ${brief(payload.output ?? "")}`;
    case "agent.error":
      return `${payload.agent}: ${payload.error}`;
    case "tool.called":
      return `${payload.tool}(${brief(payload.input ?? "")})`;
    case "tool.result":
      return `${payload.tool} → ${brief(payload.output ?? "")}`;
    case "tool.error":
      return `${payload.tool}: ${payload.error}`;
    case "log":
      return payload.message ?? "";
    case "token":
      return payload.text ?? "";
    case "artifact":
      return payload.name;
    case "run.completed":
      return brief(payload.result ?? "");
    case "run.failed":
      return payload.error ?? "";
    case "run.created":
      return brief(payload.input ?? "");
    default:
      return brief(payload);
  }
}

/** Neighbouring pieces of one agent's text are one row. */
function rows(events, types, words) {
  const wanted = words.toLowerCase();
  const found = [];
  for (const event of events) {
    if (types && event.type !== types && !event.type.startsWith(`${types}.`)) continue;
    const before = found.at(-1);
    if (event.type === "token" && before?.type === "token" && before.payload.agent === event.payload.agent) {
      before.payload = { ...before.payload, text: before.payload.text + event.payload.text };
      before.pieces = (before.pieces ?? 1) + 1;
    } else found.push(event.type === "token" ? { ...event } : event);
  }
  return wanted ? found.filter((event) => `${event.type} ${JSON.stringify(event.payload)}`.toLowerCase().includes(wanted)) : found;
}

export function EventList({ events, version, following }) {
  const [type, setType] = useState("");
  const [words, setWords] = useState("");
  const [picked, setPicked] = useState(-1);
  const [tail, setTail] = useState(true);
  const found = useMemo(() => rows(events, type, words), [events, version, events.length, type, words]);
  const kinds = useMemo(() => [...new Set(events.map((event) => event.type.split(".")[0]))], [events, version, events.length]);
  const start = events.length ? Date.parse(events[0].timestamp) : 0;
  const chosen = found[picked];
  const row = (event) => html`<span class="when">+${duration(Date.parse(event.timestamp) - start)}</span>
    <span class="kind ${event.type.replace(".", "-")}">${event.type}</span>
    <span class="what">${brief(summary(event), 240)}</span>`;
  return html`<div class="events">
    <div class="filters">
      <${Search} label="Search events" value=${words} onSearch=${setWords} />
      <div class="chips" role="group" aria-label="Types">
        ${["", ...kinds].map((kind) => html`<button type="button" class="chip" aria-pressed=${kind === type ? "true" : "false"} onClick=${() => (setType(kind), setPicked(-1))}>${kind || "all"}</button>`)}
      </div>
    </div>
    <div class="beside">
      ${found.length
        ? html`<${VirtualList} items=${found} row=${row} picked=${picked} onPick=${setPicked} label="Events" tail=${following && tail && picked < 0} onTail=${setTail} />`
        : html`<p class="faint">${events.length ? "No event is like that." : "Nothing has happened yet."}</p>`}
      ${chosen &&
      html`<aside class="detail" aria-label="The chosen event">
        <header><h2>${chosen.type}</h2><button type="button" class="quiet small" onClick=${() => setPicked(-1)} aria-label="Close the event">✕</button></header>
        <p class="faint"><code>${chosen.id}</code> · ${time(chosen.timestamp)} · +${duration(Date.parse(chosen.timestamp) - start)}${chosen.pieces && ` · ${number(chosen.pieces)} pieces`}</p>
        ${chosen.payload.stack_trace && html`<pre tabindex="0">${chosen.payload.stack_trace}</pre>`}
        <${Tree} value=${chosen.payload} label="the event" />
      </aside>`}
    </div>
  </div>`;
}

export function LogList({ events, version, following }) {
  const [words, setWords] = useState("");
  const [least, setLeast] = useState("debug");
  const [picked, setPicked] = useState(-1);
  const [tail, setTail] = useState(true);
  const lines = useMemo(() => {
    const wanted = words.toLowerCase();
    const floor = LEVELS.indexOf(least);
    return events.filter((event) => event.type === "log" && LEVELS.indexOf(event.payload.level) >= floor && (!wanted || (event.payload.message ?? "").toLowerCase().includes(wanted)));
  }, [events, version, events.length, words, least]);
  const row = ({ timestamp, payload }) => html`<span class="when">${time(timestamp)}</span><span class="level ${payload.level}">${payload.level}</span><span class="what mono">${(payload.message ?? (payload.erased ? "erased" : "")).slice(0, 1000)}</span>`;
  const chosen = lines[picked];
  return html`<div class="events logs">
    <div class="filters">
      <${Search} label="Search logs" value=${words} onSearch=${setWords} />
      <label class="field"><span>At least</span><select onChange=${(event) => setLeast(event.target.value)}>${LEVELS.map((level) => html`<option value=${level} selected=${level === least}>${level}</option>`)}</select></label>
      <${Copy} text=${lines.map(({ payload }) => payload.message).join("\n")} label="Copy the lines" />
    </div>
    ${lines.length
      ? html`<${VirtualList} items=${lines} row=${row} height=${24} picked=${picked} onPick=${setPicked} label="Log lines" tail=${following && tail && picked < 0} onTail=${setTail} />`
      : html`<p class="faint">No line.</p>`}
    ${chosen && html`<aside class="detail"><pre tabindex="0" class="wraps">${chosen.payload.message}${chosen.payload.truncated && "\n… cut here"}</pre></aside>`}
  </div>`;
}
