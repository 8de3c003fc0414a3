// What runs, what failed lately, how much and how fast.
import { html } from "../html.js";
import { useLive } from "../live.js";
import { link } from "../route.js";
import { Empty, Loaded, Page, useDeployments } from "../parts.js";
import { duration, number, plural } from "../format.js";
import { Bars, Durations } from "../plots.js";
import { RunTable } from "./runs.js";

const SHOWN = 8;
const BUCKETS = 24;
const SPANS = [300e3, 1800e3, 3600e3, 6 * 3600e3, 86400e3, 7 * 86400e3, 30 * 86400e3];

export function Overview() {
  const recent = useLive("/v1/runs?limit=100", ["run_"]);
  const running = useLive("/v1/runs?status=running&limit=100", ["run_"]);
  const pending = useLive("/v1/runs?status=pending&limit=100", ["run_"]);
  const failed = useLive(`/v1/runs?status=failed&limit=${SHOWN}`, ["run_"]);
  const deployments = useDeployments();
  return html`<${Page} title="Overview">
    <${Loaded} live=${recent}>
      ${({ runs }) =>
        !runs.length
          ? html`<${Begin} deployments=${deployments} />`
          : html`<${Figures} runs=${runs} running=${running.data?.runs} pending=${pending.data?.runs} deployments=${deployments} />
              <section><h2>Under way</h2>${unfinished(running, pending).length ? html`<${RunTable} narrow runs=${unfinished(running, pending).slice(0, SHOWN)} deployments=${deployments} />` : html`<p class="faint">Nothing runs.</p>`}</section>
              <section><h2>Failed lately</h2>${failed.data?.runs.length ? html`<${RunTable} narrow runs=${failed.data.runs} deployments=${deployments} />` : html`<p class="faint">Nothing failed.</p>`}</section>`}
    <//>
  <//>`;
}

const unfinished = (running, pending) => [...(running.data?.runs ?? []), ...(pending.data?.runs ?? [])];

function Begin({ deployments }) {
  if (deployments?.length) return html`<${Empty} title="Nothing has run yet"><p><a href=${link("runs")}>Start a run</a>, or <code>crewship invoke</code>.</p><//>`;
  return html`<${Empty} title="Nothing is deployed yet"><p>In a project of yours:</p><pre tabindex="0">crewship init
crewship deploy</pre><//>`;
}

const some = (list) => (list ? (list.length >= 100 ? "100+" : number(list.length)) : "–");

function Figures({ runs, running, pending, deployments }) {
  const done = runs.filter((run) => run.completed_at);
  const good = done.filter((run) => run.status === "succeeded").length;
  const timed = done.filter((run) => run.duration_ms !== null).reverse();
  const sorted = timed.map((run) => run.duration_ms).sort((one, other) => one - other);
  const part = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  const { buckets, span } = gathered(runs);
  return html`<div class="cards">
    <a class="card" href="${link("runs")}?status=running"><span>Running</span><strong>${some(running)}</strong><small>${some(pending)} waiting</small></a>
    <a class="card" href=${link("deployments")}><span>Deployments</span><strong>${deployments ? number(deployments.length) : "–"}</strong><small>${deployments ? `${number(deployments.filter((one) => one.environments.production).length)} in production` : ""}</small></a>
    <div class="card"><span>Succeeded</span><strong>${done.length ? `${Math.round((good / done.length) * 100)} %` : "–"}</strong><small>of the last ${plural(done.length, "run")}</small></div>
    <div class="card plotted"><span>Runs <small>last ${span}</small></span><${Bars} buckets=${buckets} label="Runs over time, the last ${span}" /></div>
    <div class="card plotted"><span>Duration <small>${sorted.length ? `half under ${duration(part(0.5))}, 95 % under ${duration(part(0.95))}` : ""}</small></span>${timed.length > 0 && html`<${Durations} runs=${timed} label="How long the last runs took" />`}</div>
  </div>`;
}

/** The runs in equal parts of the shortest span that holds them all (of those that people speak of). */
function gathered(runs) {
  const now = Date.now();
  const oldest = Date.parse(runs.at(-1).created_at);
  const length = SPANS.find((one) => now - oldest <= one) ?? SPANS.at(-1);
  const step = length / BUCKETS;
  const buckets = Array.from({ length: BUCKETS }, (_, at) => ({ label: new Date(now - length + at * step).toLocaleString(), good: 0, bad: 0 }));
  for (const run of runs) {
    const at = Math.floor((Date.parse(run.created_at) - (now - length)) / step);
    if (at >= 0) buckets[Math.min(BUCKETS - 1, at)][run.status === "failed" ? "bad" : "good"] += 1;
  }
  const words = { 300e3: "5 minutes", 1800e3: "30 minutes", 3600e3: "hour", [6 * 3600e3]: "6 hours", 86400e3: "day", [7 * 86400e3]: "week", [30 * 86400e3]: "30 days" };
  return { buckets, span: words[length] };
}
