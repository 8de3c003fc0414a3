// The log: everything that ever changed, who did it, and whether it is still what was written.
import { html, useState, useEffect } from "../html.js";
import { useBell, useLive } from "../live.js";
import { get, query } from "../api.js";
import { link, setQuery } from "../route.js";
import { Action, Code, Empty, Filters, Loaded, Page, Problem, Search, Time } from "../parts.js";
import { brief, number, plural } from "../format.js";
import { Tree } from "../tree.js";

const LIMIT = 100;
const position = (id) => Number(id.slice(4));

export function Audit({ query: asked }) {
  const head = useLive("/v1/audit/head");
  useBell(["run_", "dep_", "ver_", "thr_", "key_", "tbl_", "sch_"], head.reload);
  return html`<${Page} title="Audit" actions=${html`<${Verify} />`}>
    <${Loaded} live=${head}>
      ${(end) => html`
        <dl class="facts">
          <div><dt>Newest event</dt><dd>${number(end.newest)}</dd></div>
          <div><dt>Sealed up to</dt><dd>${number(end.position)}</dd></div>
          <div><dt>Head of the seals</dt><dd><${Code}>${end.head}<//></dd></div>
        </dl>
        <${Filters}>
          <${Search} label="Type, exactly" placeholder="run.created" value=${asked.types} onSearch=${(types) => setQuery({ types, after: "" })} />
          <${Search} label="Stream" placeholder="run_…" value=${asked.stream} onSearch=${(stream) => setQuery({ stream, after: "" })} />
          <${Search} label="Actor" placeholder="console:… or key:…" value=${asked.by} onSearch=${(by) => setQuery({ by, after: "" })} />
          <${Search} label="Words on this page" value=${asked.words} onSearch=${(words) => setQuery({ words })} />
        <//>
        <${Events} asked=${asked} newest=${end.newest} />
      `}
    <//>
  <//>`;
}

function Events({ asked, newest }) {
  const filtered = Boolean(asked.types || asked.stream || asked.by);
  const after = asked.after === undefined ? (filtered ? 0 : Math.max(0, newest - LIMIT)) : Number(asked.after) || 0;
  const live = useLive(query("/v1/events", { after, limit: LIMIT, types: asked.types, stream: asked.stream, by: asked.by }));
  const words = (asked.words ?? "").toLowerCase();
  return html`<${Loaded} live=${live}>
    ${({ events, next_after: next }) => {
      const found = words ? events.filter((event) => JSON.stringify(event).toLowerCase().includes(words)) : events;
      const shown = filtered ? found : [...found].reverse();
      return html`${shown.length ? html`<${List} events=${shown} />` : html`<${Empty} title="No event is like that" />`}
        <nav class="pager" aria-label="Pages">
          <button type="button" class="quiet" disabled=${after === 0} onClick=${() => setQuery({ after: String(Math.max(0, after - LIMIT)) })}>← Earlier</button>
          <span class="faint">after position ${number(after)}</span>
          <button type="button" class="quiet" disabled=${next >= newest} onClick=${() => setQuery({ after: String(next) })}>Later →</button>
          ${asked.after !== undefined && html`<button type="button" class="quiet" onClick=${() => setQuery({ after: "" })}>${filtered ? "From the beginning" : "Newest"}</button>`}
        </nav>`;
    }}
  <//>`;
}

function List({ events }) {
  const [open, setOpen] = useState(null);
  return html`<div class="scrolls" tabindex="0" role="region" aria-label="Events of the log"><table class="list stacks">
    <thead><tr><th class="figure">Position</th><th>When</th><th>Event</th><th>Stream</th><th>Who</th><th>Facts</th></tr></thead>
    <tbody>${events.map((event) => html`
      <tr key=${event.id}>
        <td class="figure"><button type="button" class="quiet small" aria-expanded=${open === event.id ? "true" : "false"} onClick=${() => setOpen(open === event.id ? null : event.id)}>${number(position(event.id))}</button></td>
        <td><${Time} at=${event.timestamp} /></td>
        <td class="mono">${event.type}</td>
        <td><${Stream} name=${event.stream} /></td>
        <td><span class="clip">${event.actor}</span>${event.address && html` <span class="faint">${event.address}</span>`}</td>
        <td class="wide-only"><span class="clip faint mono">${brief(event.data, 90)}</span></td>
      </tr>
      ${open === event.id && html`<tr key="${event.id}-whole"><td colspan="6"><${Tree} value=${event} label="the event" /></td></tr>`}
    `)}</tbody>
  </table></div>`;
}

const PLACES = { run: "runs", thr: "threads", tbl: "tables", dep: "deployments" };

function Stream({ name }) {
  const [subject] = name.split(":");
  const place = PLACES[subject.split("_")[0]];
  return place && subject.includes("_") ? html`<a href=${link(place, subject)}><${Code}>${name}<//></a>` : html`<${Code}>${name}<//>`;
}

/** Holds the whole log against its seals, piece by piece. */
function Verify() {
  const [state, setState] = useState(null);
  const alive = useState({ now: true })[0];
  useEffect(() => () => void (alive.now = false), []);
  const verify = async () => {
    const sum = { events: 0, seals: 0, findings: [] };
    for (let after = 0; after !== null && alive.now; ) {
      const piece = await get(query("/v1/audit/verify", { after: after || undefined }));
      sum.events += piece.events;
      sum.seals += piece.seals;
      sum.findings.push(...piece.findings);
      setState({ ...sum, going: piece.next_after !== null, upTo: piece.sealed_up_to });
      after = piece.next_after;
    }
  };
  return html`<div class="verified">
    <${Action} kind="primary" run=${verify}>Verify the log<//>
    ${state && html`<p role="status" class=${state.findings.length ? "problem" : "faint"}>${state.going ? "Reading… " : ""}${plural(state.events, "event")} under ${plural(state.seals, "seal")}: ${state.findings.length ? `${plural(state.findings.length, "thing")} not as written` : "as they were written"}</p>`}
    ${state?.findings.slice(0, 5).map((finding) => html`<${Problem} error=${{ message: brief(finding, 300) }} />`)}
  </div>`;
}
