// Runs: the list, and starting one.
import { html, useState } from "../html.js";
import { useLive, useNow } from "../live.js";
import { post, query, url } from "../api.js";
import { go, link, setQuery } from "../route.js";
import { Choice, Code, Dialog, Empty, Field, Filters, Form, JsonField, Loaded, Page, Pager, Status, Time, fieldJson, may, useDeployments } from "../parts.js";
import { brief, duration } from "../format.js";

const LIMIT = 50;
export const STATUSES = ["pending", "running", "succeeded", "failed", "canceled"];

export function Runs({ query: asked }) {
  const offset = Number(asked.offset) || 0;
  const filters = { deployment_id: asked.deployment, status: asked.status, environment: asked.environment, thread_id: asked.thread };
  const live = useLive(query("/v1/runs", { ...filters, limit: LIMIT, offset }), ["run_"]);
  const deployments = useDeployments();
  const [starting, setStarting] = useState(false);
  const filtered = Object.values(filters).some(Boolean);
  return html`<${Page} title="Runs" actions=${may("run") && html`<button type="button" class="primary" onClick=${() => setStarting(true)}>New run</button>`}>
    <${Filters}>
      <${Choice} name="deployment" label="Deployment" value=${asked.deployment} options=${[["", "All"], ...(deployments ?? []).map((one) => [one.id, one.name])]} />
      <${Choice} name="status" label="Status" value=${asked.status} options=${[["", "Any"], ...STATUSES.map((one) => [one, one])]} />
      <${Choice} name="environment" label="Environment" value=${asked.environment} options=${[["", "Any"], ["production", "production"], ["staging", "staging"]]} />
      ${asked.thread && html`<span class="chip">in ${asked.thread} <button type="button" class="quiet small" aria-label="Runs of all threads" onClick=${() => setQuery({ thread: "" })}>✕</button></span>`}
    <//>
    <${Loaded} live=${live}>
      ${({ runs }) =>
        runs.length || offset
          ? html`<${RunTable} runs=${runs} deployments=${deployments} /><${Pager} count=${runs.length} limit=${LIMIT} offset=${offset} />`
          : html`<${Empty} title=${filtered ? "No run is like that" : "No run yet"}>
              ${!filtered && html`<p>Start one here, or with <code>crewship invoke</code>.</p>`}
            <//>`}
    <//>
    ${starting && html`<${NewRun} deployments=${deployments ?? []} preset=${asked.deployment} onClose=${() => setStarting(false)} />`}
  <//>`;
}

export function RunTable({ runs, deployments, narrow = false }) {
  const unfinished = runs.some((run) => !run.completed_at);
  const now = useNow(1000, unfinished);
  const names = new Map((deployments ?? []).map((one) => [one.id, one.name]));
  return html`<div class="scrolls" tabindex="0" role="region" aria-label="Runs"><table class="list stacks">
    <thead><tr><th>Run</th><th>Status</th><th>Deployment</th>${!narrow && html`<th>Input</th>`}<th>Created</th><th class="figure">Took</th></tr></thead>
    <tbody>
      ${runs.map((run) => {
        const href = link("runs", run.id);
        const took = run.duration_ms ?? (run.started_at && !run.completed_at ? now - Date.parse(run.started_at) : null);
        return html`<tr key=${run.id}>
          <td><a class="row-link" href=${href}><${Code}>${run.id}<//></a></td>
          <td><${Status} status=${run.status} />${run.status === "failed" && html`<div class="faint clip" title=${run.error_message}>${brief(run.error_message ?? run.reason ?? "", 60)}</div>`}</td>
          <td><span class="clip">${names.get(run.deployment_id) ?? run.deployment_id}</span> <span class="faint">v${run.version_number}${run.environment === "staging" ? " · staging" : ""}</span></td>
          ${!narrow && html`<td class="wide-only"><span class="clip faint mono">${brief(run.input ?? "", 90)}</span></td>`}
          <td><${Time} at=${run.created_at} /></td>
          <td class="figure">${duration(took === null ? null : Math.max(0, took))}</td>
        </tr>`;
      })}
    </tbody>
  </table></div>`;
}

/** Starting a run from a form. */
export function NewRun({ deployments, preset, onClose }) {
  const start = async (fields) => {
    const input = fieldJson(fields.input, "Input");
    const run = await post("/v1/runs", { deployment_id: fields.deployment, environment: fields.environment, input });
    go("runs", run.run_id);
  };
  if (!deployments.length) return html`<${Dialog} title="New run" onClose=${onClose}><${Empty} title="Nothing is deployed yet"><p>Deploy a project with <code>crewship deploy</code>.</p><//><//>`;
  return html`<${Dialog} title="New run" onClose=${onClose}>
    <${Form} submit="Start run" onSubmit=${start} onCancel=${onClose}>
      <${Field} label="Deployment"><select name="deployment">${deployments.map((one) => html`<option value=${one.id} selected=${one.id === preset || one.name === preset}>${one.name}</option>`)}</select><//>
      <${Field} label="Environment"><select name="environment"><option>production</option><option>staging</option></select><//>
      <${JsonField} name="input" label="Input (JSON)" value=${{}} />
    <//>
  <//>`;
}

/** Running the same again, with another input if one likes. */
export function RunAgain({ run, onClose }) {
  const start = async (fields) => {
    const input = fieldJson(fields.input, "Input");
    const again = await post(url`/v1/runs/${run.id}/rerun`, { version: fields.version, input });
    onClose();
    go("runs", again.run_id);
  };
  return html`<${Dialog} title="Run again" onClose=${onClose}>
    <${Form} submit="Start run" onSubmit=${start} onCancel=${onClose}>
      <${Field} label="Version"><select name="version"><option value="same">the same: version ${run.version_number}</option><option value="active">what is live in ${run.environment} now</option></select><//>
      <${JsonField} name="input" label="Input (JSON)" value=${run.input ?? {}} rows=${12} />
    <//>
  <//>`;
}
