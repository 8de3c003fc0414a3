// Threads of a deployment.
import { html, useState } from "../html.js";
import { useLive } from "../live.js";
import { post, query } from "../api.js";
import { go, link } from "../route.js";
import { Choice, Code, Dialog, Empty, Field, Filters, Form, JsonField, Loaded, Page, Pager, Status, Time, fieldJson, may, useDeployments } from "../parts.js";
import { brief } from "../format.js";

const LIMIT = 50;

export function Threads({ query: asked }) {
  const deployments = useDeployments();
  if (!deployments) return html`<${Page} title="Threads"><p class="faint loading" role="status">Loading…</p><//>`;
  if (!deployments.length) return html`<${Page} title="Threads"><${Empty} title="Nothing is deployed yet"><p>A thread is a conversation with a deployment.</p><//><//>`;
  const deployment = deployments.find((one) => [one.id, one.name].includes(asked.deployment)) ?? deployments[0];
  return html`<${List} key=${deployment.id} asked=${asked} deployment=${deployment} deployments=${deployments} />`;
}

function List({ asked, deployment, deployments }) {
  const offset = Number(asked.offset) || 0;
  const live = useLive(query("/v1/threads", { deployment_id: deployment.id, status: asked.status, limit: LIMIT, offset }), ["thr_"]);
  const [making, setMaking] = useState(false);
  return html`<${Page} title="Threads" actions=${may("run") && html`<button type="button" class="primary" onClick=${() => setMaking(true)}>New thread</button>`}>
    <${Filters}>
      <${Choice} name="deployment" label="Deployment" value=${deployment.name} options=${deployments.map((one) => [one.name, one.name])} />
      <${Choice} name="status" label="Status" value=${asked.status} options=${[["", "Any"], ...["idle", "busy", "interrupted", "error"].map((one) => [one, one])]} />
    <//>
    <${Loaded} live=${live}>
      ${({ threads }) =>
        threads.length || offset
          ? html`<div class="scrolls" tabindex="0" role="region" aria-label="Threads"><table class="list stacks">
                <thead><tr><th>Thread</th><th>Status</th><th>Last said</th><th>Metadata</th><th>Updated</th></tr></thead>
                <tbody>${threads.map((thread) => html`<tr key=${thread.thread_id}>
                  <td><a class="row-link" href=${link("threads", thread.thread_id)}><${Code}>${thread.thread_id}<//></a></td>
                  <td><${Status} status=${thread.status} /></td>
                  <td><span class="clip">${brief(lastSaid(thread.values), 80)}</span></td>
                  <td><span class="clip faint mono">${Object.keys(thread.metadata ?? {}).length ? brief(thread.metadata, 60) : "–"}</span></td>
                  <td><${Time} at=${thread.updated_at} /></td>
                </tr>`)}</tbody>
              </table></div>
              <${Pager} count=${threads.length} limit=${LIMIT} offset=${offset} />`
          : html`<${Empty} title=${asked.status ? "No thread is like that" : `${deployment.name} has no thread yet`}><p>Begin one here, or with <code>crewship chat ${deployment.name}</code>.</p><//>`}
    <//>
    ${making && html`<${NewThread} deployment=${deployment} deployments=${deployments} onClose=${() => setMaking(false)} />`}
  <//>`;
}

function lastSaid(values) {
  const last = Array.isArray(values?.messages) ? values.messages.at(-1) : null;
  if (last) return typeof last.content === "string" ? last.content : (last.content ?? "");
  return values && Object.keys(values).length ? values : "";
}

function NewThread({ deployment, deployments, onClose }) {
  const make = async (fields) => {
    const thread = await post("/v1/threads", { deployment_id: fields.deployment, metadata: fieldJson(fields.metadata, "Metadata") });
    go("threads", thread.thread_id);
  };
  return html`<${Dialog} title="New thread" onClose=${onClose}>
    <${Form} submit="Create" onSubmit=${make} onCancel=${onClose}>
      <${Field} label="Deployment"><select name="deployment">${deployments.map((one) => html`<option value=${one.id} selected=${one.id === deployment.id}>${one.name}</option>`)}</select><//>
      <${JsonField} name="metadata" label="Metadata (JSON)" value=${{}} rows=${3} />
    <//>
  <//>`;
}
