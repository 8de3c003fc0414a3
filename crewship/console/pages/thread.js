// A thread: the conversation, its states, and every way to go on from them.
import { html, useState } from "../html.js";
import { useLive } from "../live.js";
import { remove, url } from "../api.js";
import { go, link, setQuery } from "../route.js";
import { Action, Code, Loaded, Page, Status, Tabs, Time, may } from "../parts.js";
import { Tree } from "../tree.js";
import { Conversation } from "./conversation.js";
import { History } from "./history.js";
import { RunTable } from "./runs.js";

export function Thread({ id, query }) {
  const live = useLive(url`/v1/threads/${id}`, [id]);
  return html`<${Loaded} live=${live}>${(thread) => html`<${Shown} key=${Boolean(thread.erased)} thread=${thread} query=${query} reload=${live.reload} />`}<//>`;
}

function Shown({ thread, query, reload }) {
  const deployment = useLive(url`/v1/deployments/${thread.deployment_id}`, [thread.deployment_id]).data;
  const pointer = deployment?.environments.production ?? deployment?.environments.staging;
  const version = useLive(pointer ? url`/v1/versions/${pointer.version_id}` : null).data;
  const environment = deployment && !deployment.environments.production && deployment.environments.staging ? "staging" : "production";
  const tab = query.tab ?? "conversation";
  const drop = async () => {
    await remove(url`/v1/threads/${thread.thread_id}`);
    go("threads");
  };
  const erase = async () => {
    await remove(url`/v1/threads/${thread.thread_id}/data`);
    reload();
  };
  return html`<${Page}
    title=${html`Thread <${Code}>${thread.thread_id}<//>`}
    name=${thread.thread_id}
    back=${{ href: deployment ? `${link("threads")}?deployment=${encodeURIComponent(deployment.name)}` : link("threads"), text: "Threads" }}
    actions=${html`
      ${may("run") && html`<${Action} kind="danger" confirm="Delete this thread? It takes no more runs and is not shown any more." run=${drop}>Delete<//>`}
      ${!thread.erased && !thread.running_run_id && may("admin") && html`<${Action} kind="danger" confirm="Destroy all that this thread remembers, and the data of its runs, for ever?" run=${erase}>Erase data<//>`}
    `}
  >
    ${thread.erased && html`<p class="notice" role="note">Erased: what this thread remembered, and the data of its runs, were destroyed. It takes no more runs.</p>`}
    <dl class="facts">
      <div><dt>Status</dt><dd><${Status} status=${thread.status} /></dd></div>
      <div><dt>Deployment</dt><dd>${deployment ? html`<a href=${link("deployments", deployment.name)}>${deployment.name}</a>` : html`<${Code}>${thread.deployment_id}<//>`}</dd></div>
      ${thread.running_run_id && html`<div><dt>Running</dt><dd><a href=${link("runs", thread.running_run_id)}><${Code}>${thread.running_run_id}<//></a></dd></div>`}
      <div><dt>Created</dt><dd><${Time} at=${thread.created_at} /></dd></div>
      <div><dt>Updated</dt><dd><${Time} at=${thread.updated_at} /></dd></div>
    </dl>
    <${Tabs} label="Parts of the thread" current=${tab} onPick=${(name) => setQuery({ tab: name === "conversation" ? "" : name })} tabs=${[["conversation", "Conversation"], ["history", "History"], ["state", "State"], ["runs", "Runs"]]} />
    <section id="panel" role="tabpanel" aria-labelledby="tab-${tab}">
      ${tab === "conversation" && html`<${Conversation} thread=${thread} chat=${version?.chat} environment=${environment} reload=${reload} />`}
      ${tab === "history" && html`<${History} thread=${thread} environment=${environment} reload=${reload} />`}
      ${tab === "state" && html`<div class="halves"><section><h2>Values</h2><${Tree} value=${thread.values} label="the values" /></section><section><h2>Metadata</h2><${Tree} value=${thread.metadata} label="the metadata" /></section></div>`}
      ${tab === "runs" && html`<${Runs} thread=${thread} deployment=${deployment} />`}
    </section>
  <//>`;
}

function Runs({ thread, deployment }) {
  const live = useLive(`/v1/runs?limit=50&thread_id=${thread.thread_id}`, ["run_"]);
  return html`<${Loaded} live=${live}>${({ runs }) => (runs.length ? html`<${RunTable} runs=${runs} deployments=${deployment ? [deployment] : []} />` : html`<p class="faint">No run yet.</p>`)}<//>`;
}
