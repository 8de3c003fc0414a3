// A deployment: its versions and what is live, its variables, how to call it, its limits.
import { html, useState } from "../html.js";
import { useLive } from "../live.js";
import { query as withQuery, post, put, remove, url } from "../api.js";
import { go, link, setQuery } from "../route.js";
import { Action, Code, Dialog, Empty, Field, Form, Loaded, Page, Pager, Status, Tabs, Time, may } from "../parts.js";
import { duration, size } from "../format.js";
import { BuildLog } from "./build.js";
import { HowToCall } from "./calling.js";
import { Schedules } from "./schedules.js";
import { Webhooks } from "./webhooks.js";
import { NewRun, RunTable } from "./runs.js";

const LIMIT = 20;

export function Deployment({ id, query }) {
  const live = useLive(url`/v1/deployments/${id}`, ["dep_"]);
  return html`<${Loaded} live=${live}>${(deployment) => html`<${Shown} deployment=${deployment} query=${query} reload=${live.reload} />`}<//>`;
}

/** The tabs, each with what it shows. */
const TABS = [
  ["versions", "Versions", Versions],
  ["runs", "Runs", LatestRuns],
  ["variables", "Variables", Variables],
  ["webhooks", "Webhooks", Webhooks],
  ["schedules", "Schedules", Schedules],
  ["call", "How to call it", HowToCall],
  ["limits", "Limits", Limits],
];

function Shown({ deployment, query, reload }) {
  const [starting, setStarting] = useState(false);
  const [deleting, setDeleting] = useState(false);
  const { production, staging } = deployment.environments;
  const live = production ?? staging;
  const version = useLive(live ? url`/v1/versions/${live.version_id}` : null, live ? [live.version_id] : []);
  const [tab, , Part] = TABS.find(([name]) => name === query.tab) ?? TABS[0];
  return html`<${Page}
    title=${deployment.name}
    name=${deployment.name}
    back=${{ href: link("deployments"), text: "Deployments" }}
    actions=${html`
      ${may("run") && live && html`<button type="button" class="primary" onClick=${() => setStarting(true)}>New run</button>`}
      ${may("deploy") && html`<button type="button" class="danger" onClick=${() => setDeleting(true)}>Delete</button>`}
    `}
  >
    <dl class="facts">
      <div><dt>Id</dt><dd><${Code}>${deployment.id}<//></dd></div>
      <div><dt>Framework</dt><dd>${deployment.framework ?? "–"}</dd></div>
      <${Environment} deployment=${deployment} name="production" />
      <${Environment} deployment=${deployment} name="staging" />
      <div><dt>Updated</dt><dd><${Time} at=${deployment.updated_at} /></dd></div>
    </dl>
    <${Tabs} label="Parts of the deployment" current=${tab} onPick=${(name) => setQuery({ tab: name === "versions" ? "" : name, offset: "", build: "" })} tabs=${TABS.map(([name, label]) => [name, label])} />
    <section id="panel" role="tabpanel" aria-labelledby="tab-${tab}">
      <${Part} deployment=${deployment} version=${version.data} query=${query} reload=${reload} />
    </section>
    ${starting && html`<${NewRun} deployments=${[deployment]} preset=${deployment.id} onClose=${() => setStarting(false)} />`}
    ${deleting && html`<${Deletion} deployment=${deployment} onClose=${() => setDeleting(false)} />`}
  <//>`;
}

function Environment({ deployment, name }) {
  const pointer = deployment.environments[name];
  return html`<div><dt>${name}</dt><dd>${pointer ? html`<span class="version">v${pointer.version_number}</span>` : html`<span class="faint">nothing live</span>`}</dd></div>`;
}

function Deletion({ deployment, onClose }) {
  const [typed, setTyped] = useState("");
  const drop = async () => {
    if (typed !== deployment.name) throw new Error("That is not its name");
    await remove(url`/v1/deployments/${deployment.id}`);
    go("deployments");
  };
  return html`<${Dialog} title="Delete ${deployment.name}" onClose=${onClose}>
    <${Form} submit="Delete it" danger onSubmit=${drop} onCancel=${onClose}>
      <p>Its variables go, its name is free again. Its runs stay to look at.</p>
      <${Field} label="Type ${deployment.name} to be sure"><input value=${typed} onInput=${(event) => setTyped(event.target.value)} autocomplete="off" /><//>
    <//>
  <//>`;
}

function Versions({ deployment, query, reload }) {
  const offset = Number(query.offset) || 0;
  const path = withQuery(url`/v1/deployments/${deployment.id}/versions`, { limit: LIMIT, offset });
  const live = useLive(path, ["ver_", deployment.id]);
  const done = () => (reload(), live.reload());
  return html`<${Loaded} live=${live}>
    ${({ versions }) =>
      versions.length
        ? html`${may("deploy") && html`<${Moves} deployment=${deployment} done=${done} />`}
            <div class="scrolls" tabindex="0" role="region" aria-label="Versions"><table class="list stacks">
              <thead><tr><th>Version</th><th>Status</th><th>Live in</th><th>Entrypoint</th><th>Created</th><th>Build</th><th></th></tr></thead>
              <tbody>${versions.map((version) => html`<tr key=${version.id}>
                <td><strong>v${version.version_number}</strong> <span class="faint wide-only"><${Code}>${version.id}<//></span></td>
                <td><${Status} status=${version.status} />${version.error_message && html`<div class="faint clip" title=${version.error_message}>${version.error_message}</div>`}</td>
                <td>${version.environments.length ? version.environments.map((name) => html`<span class="chip">${name}</span>`) : html`<span class="faint">–</span>`}</td>
                <td class="mono"><span class="clip">${version.entrypoint}</span></td>
                <td><${Time} at=${version.created_at} /></td>
                <td><button type="button" class="quiet small" aria-label="Build log of version ${version.version_number}" onClick=${() => setQuery({ build: version.id })}>Log</button> <span class="faint">${version.built_at ? duration(Date.parse(version.built_at) - Date.parse(version.created_at)) : ""}</span></td>
                <td>${may("deploy") && version.status === "ready" && html`<${MakeLive} deployment=${deployment} version=${version} done=${done} />`}</td>
              </tr>`)}</tbody>
            </table></div>
            <${Pager} count=${versions.length} limit=${LIMIT} offset=${offset} />
            ${query.build && html`<${Dialog} wide title="Build of ${name(versions, query.build)}" onClose=${() => setQuery({ build: "" })}><${BuildLog} id=${query.build} /><//>`}`
        : html`<${Empty} title="No version yet"><p>Deploy one: <code>crewship deploy --name ${deployment.name}</code></p><//>`}
  <//>`;
}

const name = (versions, id) => {
  const found = versions.find((version) => version.id === id);
  return found ? `version ${found.version_number}` : id;
};

function Moves({ deployment, done }) {
  const { production, staging } = deployment.environments;
  const promotes = staging && staging.version_id !== production?.version_id;
  if (!promotes) return null;
  const promote = async () => {
    await post(url`/v1/deployments/${deployment.id}/promote`, { from: "staging", to: "production" });
    done();
  };
  return html`<p class="notice">Version ${staging.version_number} is in staging, ${production ? `version ${production.version_number}` : "nothing"} in production. <${Action} kind="primary" run=${promote}>Promote to production<//></p>`;
}

/** Moves an environment to this version, without a build. */
function MakeLive({ deployment, version, done }) {
  const targets = ["production", "staging"].filter((environment) => deployment.environments[environment] && !version.environments.includes(environment));
  return targets.map((environment) => {
    const back = version.version_number < deployment.environments[environment].version_number;
    const move = async () => {
      await post(url`/v1/deployments/${deployment.id}/rollback`, { version_id: version.id, environment });
      done();
    };
    const words = back ? `Roll back ${environment}` : `Make live in ${environment}`;
    return html`<${Action} key=${environment} kind="small" label="${words} to version ${version.version_number}" confirm="${words} to version ${version.version_number}?" run=${move}>${words}<//> `;
  });
}

function LatestRuns({ deployment }) {
  const live = useLive(withQuery("/v1/runs", { deployment_id: deployment.id, limit: LIMIT }), ["run_"]);
  return html`<${Loaded} live=${live}>${({ runs }) =>
    runs.length
      ? html`<${RunTable} runs=${runs} deployments=${[deployment]} /><p><a href="${link("runs")}?deployment=${deployment.id}">All runs of ${deployment.name}</a></p>`
      : html`<${Empty} title="It has not run yet" />`}<//>`;
}

function Variables({ deployment }) {
  const path = url`/v1/deployments/${deployment.id}/env`;
  const live = useLive(path, [deployment.id]);
  const set = async ({ name: variable, value }) => {
    await put(path, { variables: { [variable]: value } });
    live.reload();
  };
  const unset = (variable) => async () => {
    await remove(`${path}/${encodeURIComponent(variable)}`);
    live.reload();
  };
  return html`<${Loaded} live=${live}>
    ${({ variables }) => html`
      <p class="faint">Encrypted where they lie; a value is never shown again. The next run sees a change.</p>
      ${variables.length
        ? html`<div class="scrolls" tabindex="0" role="region" aria-label="Variables"><table class="list">
            <thead><tr><th>Name</th><th>Set</th><th></th></tr></thead>
            <tbody>${variables.map((one) => html`<tr key=${one.name}>
              <td class="mono">${one.name}</td>
              <td><${Time} at=${one.updated_at} /></td>
              <td class="figure">${may("deploy") && html`<${Action} kind="small danger" label="Remove ${one.name}" confirm="Remove ${one.name}?" run=${unset(one.name)}>Remove<//>`}</td>
            </tr>`)}</tbody>
          </table></div>`
        : html`<${Empty} title="No variable is set" />`}
      ${may("deploy") &&
      html`<h2>Set a variable</h2>
        <${Form} key=${variables.map((one) => one.name + one.updated_at).join()} submit="Set" onSubmit=${set}>
          <div class="side-by-side">
            <${Field} label="Name"><input name="name" required pattern="[A-Za-z_][A-Za-z0-9_]*" autocomplete="off" spellcheck="false" class="code" /><//>
            <${Field} label="Value"><input name="value" type="password" autocomplete="new-password" class="code" /><//>
          </div>
        <//>`}
    `}
  <//>`;
}

function Limits({ version }) {
  if (!version?.manifest) return html`<${Empty} title="No version is live" />`;
  const { limits = {}, retry = {}, min_warm: warm, network, python, profile } = version.manifest;
  const rows = [
    ["Time", duration(limits.timeout * 1000), "a run that takes longer is ended"],
    ["Time in the queue", duration(limits.queue_timeout * 1000), "a run that waits longer expires"],
    ["Memory", size(limits.memory), ""],
    ["Disk", size(limits.disk), "/app and /tmp"],
    ["Logs", size(limits.logs), "lines beyond it are counted, not kept"],
    ["Processors", limits.cpus, ""],
    ["Processes", limits.processes, ""],
    ["Runs at once", limits.max_concurrency || "no limit of its own", ""],
    ["Kept warm", warm || "none", "sandboxes that wait with everything imported"],
    ["Attempts", retry.attempts, retry.attempts > 1 ? `${duration(retry.backoff * 1000)} between them` : "a failed run is not tried again"],
    ["Network", network, ""],
    ["Profile", [profile, python && `Python ${python}`].filter(Boolean).join(", "), ""],
  ];
  return html`<p class="faint">Of version ${version.version_number}, from its <code>crewship.toml</code>.</p>
    <div class="scrolls" tabindex="0" role="region" aria-label="Limits"><table class="list"><tbody>${rows.map(([what, value, note]) => html`<tr><th scope="row">${what}</th><td>${value}</td><td class="faint wide-only">${note}</td></tr>`)}</tbody></table></div>`;
}
