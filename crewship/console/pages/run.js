// A run: its picture, its events, what went in and came out, its logs and artifacts; live, and back in time.
import { html, useState, useEffect, useMemo, useRef } from "../html.js";
import { useEvents, useLive, useNow } from "../live.js";
import { post, remove, url } from "../api.js";
import { link, setQuery } from "../route.js";
import { Action, Code, Copy, Loaded, Page, Problem, Status, Tabs, Time, may, useDeployments } from "../parts.js";
import { duration, number, plural } from "../format.js";
import { begin, tell } from "../story.js";
import { Timeline } from "../timeline.js";
import { Tree } from "../tree.js";
import { EventList, LogList } from "./events.js";
import { Artifacts } from "./artifacts.js";
import { RunAgain } from "./runs.js";

const TERMINAL = ["run.completed", "run.failed", "run.canceled"];
const ended = (event) => TERMINAL.includes(event.event);
const FASTEST = 2000; // ms: no pause of a replay is longer

export function Run({ id, query }) {
  const live = useLive(url`/v1/runs/${id}`, [id]);
  return html`<${Loaded} live=${live}>${(run) => html`<${Shown} key=${Boolean(run.erased)} run=${run} query=${query} reload=${live.reload} />`}<//>`;
}

function Shown({ run, query, reload }) {
  const stream = useEvents(url`/v1/runs/${run.id}/events`, ended);
  const [upTo, setUpTo] = useState(null); // how many events are shown; null: all, as they come
  const [again, setAgain] = useState(false);
  const deployments = useDeployments();
  const story = useRef(begin());
  const { events, version } = stream;
  if (story.current.of !== events) story.current = Object.assign(begin(), { of: events });
  tell(story.current, events);
  const then = useMemo(() => (upTo === null ? null : tell(begin(), events, upTo)), [upTo, events]);
  const shown = then ?? story.current;
  const over = Boolean(run.completed_at);
  useEffect(() => {
    if (story.current.ended && !over) reload();
  }, [story.current.ended, over]);
  const now = useNow(250, !over && upTo === null && !story.current.ended);
  const until = upTo !== null ? shown.last : (shown.ended ?? (run.status === "running" ? now : (shown.last ?? now)));
  const deployment = deployments?.find((one) => one.id === run.deployment_id);
  const failed = events.findLast?.((event) => event.type === "run.failed");
  const seen = upTo === null ? events : events.slice(0, upTo);
  const tab = query.tab ?? "events";
  const pick = (name) => setQuery({ tab: name === "events" ? "" : name });
  return html`<${Page}
    title=${html`Run <${Code}>${run.id}<//>`}
    name=${run.id}
    back=${{ href: link("runs"), text: "Runs" }}
    actions=${html`
      ${!over && may("run") && html`<${Action} kind="danger" run=${async () => (await post(url`/v1/runs/${run.id}/cancel`), reload())}>Cancel run<//>`}
      ${may("run") && html`<button type="button" onClick=${() => setAgain(true)}>Run again</button>`}
      ${over && !run.erased && may("admin") && html`<${Action} kind="danger" confirm="Destroy the input, output, events and artifacts of this run for ever?" run=${async () => (await remove(url`/v1/runs/${run.id}/data`), reload())}>Erase data<//>`}
    `}
  >
    <${Facts} run=${run} deployment=${deployment} now=${now} />
    ${run.erased && html`<p class="notice" role="note">Erased: what this run was given, said and left behind was destroyed. That it was, and when, stays.</p>`}
    ${run.status === "failed" && html`<${Failure} run=${run} failed=${failed} />`}
    ${stream.state === "refused" && html`<${Problem} error=${stream.error} />`}
    <${Timeline} story=${shown} until=${until ?? now} />
    <${Replay} events=${events} version=${version} upTo=${upTo} setUpTo=${setUpTo} story=${shown} state=${stream.state} over=${over} />
    <${Tabs}
      label="Parts of the run"
      current=${tab}
      onPick=${pick}
      tabs=${[["events", "Events", seen.length], ["io", "Input and output"], ["logs", "Logs", shown.logs.length], ["artifacts", "Artifacts", shown.artifacts.length]]}
    />
    <section id="panel" role="tabpanel" aria-labelledby="tab-${tab}">
      ${tab === "events" && html`<${EventList} events=${seen} version=${version} following=${upTo === null && !over} />`}
      ${tab === "io" && html`<${InputOutput} run=${run} story=${shown} />`}
      ${tab === "logs" && html`<${LogList} events=${seen} version=${version} following=${upTo === null && !over} />`}
      ${tab === "artifacts" && html`<${Artifacts} run=${run} />`}
    </section>
    ${again && html`<${RunAgain} run=${run} onClose=${() => setAgain(false)} />`}
  <//>`;
}

function Facts({ run, deployment, now }) {
  const took = run.duration_ms ?? (run.started_at && !run.completed_at ? Math.max(0, now - Date.parse(run.started_at)) : null);
  return html`<dl class="facts">
    <div><dt>Status</dt><dd><${Status} status=${run.status} />${run.reason && html` <span class="faint">${run.reason.replaceAll("_", " ")}</span>`}</dd></div>
    <div><dt>Deployment</dt><dd>${deployment ? html`<a href=${link("deployments", deployment.name)}>${deployment.name}</a>` : html`<${Code}>${run.deployment_id}<//>`} <span class="faint">v${run.version_number}, ${run.environment}</span></dd></div>
    ${run.thread_id && html`<div><dt>Thread</dt><dd><a href=${link("threads", run.thread_id)}><${Code}>${run.thread_id}<//></a></dd></div>`}
    ${run.rerun_of && html`<div><dt>Again</dt><dd><a href=${link("runs", run.rerun_of)}><${Code}>${run.rerun_of}<//></a></dd></div>`}
    ${run.schedule_id && html`<div><dt>Schedule</dt><dd><${Code}>${run.schedule_id}<//></dd></div>`}
    <div><dt>Created</dt><dd><${Time} at=${run.created_at} /></dd></div>
    <div><dt>Took</dt><dd>${duration(took)}</dd></div>
  </dl>`;
}

function Failure({ run, failed }) {
  const trace = failed?.payload.stack_trace;
  // What went wrong stands at the end of a trace.
  const end = (pre) => pre && (pre.scrollTop = pre.scrollHeight);
  return html`<section class="failure" aria-label="Why it failed">
    <p><strong>${run.error_message ?? run.reason}</strong></p>
    ${trace && html`<details open><summary>Stack trace</summary><div class="corner"><${Copy} text=${trace} label="Copy the stack trace" /></div><pre tabindex="0" ref=${end}>${trace}</pre></details>`}
  </section>`;
}

function InputOutput({ run, story }) {
  return html`<div class="halves">
    <section><h2>Input</h2><${Tree} value=${run.erased ? null : run.input} label="the input" /></section>
    <section><h2>Output</h2>${story.ended ? html`<${Tree} value=${run.output} label="the output" />` : html`<p class="faint">${run.completed_at ? "nothing" : "not yet"}</p>`}</section>
  </div>`;
}

/** A slider over the run's events: back to any moment, and from there on as it happened. */
function Replay({ events, version, upTo, setUpTo, story, state, over }) {
  const [speed, setSpeed] = useState(0);
  const count = events.length;
  const at = upTo ?? count;
  useEffect(() => {
    if (!speed || upTo === null) return undefined;
    if (upTo >= count) {
      setSpeed(0);
      setUpTo(null);
      return undefined;
    }
    const gap = upTo > 0 ? Date.parse(events[upTo].timestamp) - Date.parse(events[upTo - 1].timestamp) : 0;
    const timer = setTimeout(() => setUpTo(upTo + 1), Math.min(FASTEST, Math.max(0, gap / speed)));
    return () => clearTimeout(timer);
  }, [speed, upTo, count]);
  const play = () => {
    if (speed) return setSpeed(0);
    if (upTo === null || upTo >= count) setUpTo(0);
    return setSpeed(1);
  };
  const moved = (event) => {
    const to = Number(event.target.value);
    setUpTo(to >= count ? null : to);
  };
  const then = at > 0 && events[at - 1] ? Date.parse(events[at - 1].timestamp) - Date.parse(events[0].timestamp) : 0;
  return html`<div class="replay">
    <button type="button" class="quiet" onClick=${play} disabled=${count === 0}>${speed ? "❚❚ Pause" : "▶ Replay"}</button>
    <input type="range" min="0" max=${count} value=${at} onInput=${moved} aria-label="Moment of the run" aria-valuetext="event ${at} of ${count}, after ${duration(then)}" disabled=${count === 0} />
    <span class="moment" aria-hidden="true">${number(at)} / ${plural(count, "event")} · ${duration(then)}</span>
    ${speed > 0 && html`<label class="inline">Speed <select value=${String(speed)} onChange=${(event) => setSpeed(Number(event.target.value))}>${[0.5, 1, 4, 16].map((one) => html`<option value=${String(one)}>${one}×</option>`)}</select></label>`}
    ${upTo === null
      ? html`<span class="live ${state}">${over || story.ended ? "" : { live: "● live", lost: "○ reconnecting", connecting: "○ connecting" }[state]}</span>`
      : html`<button type="button" class="quiet" onClick=${() => (setSpeed(0), setUpTo(null))}>To the end</button>`}
  </div>`;
}
