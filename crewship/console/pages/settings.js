// Settings: API keys.
import { html, useState } from "../html.js";
import { useLive } from "../live.js";
import { query, post, remove, url } from "../api.js";
import { plural } from "../format.js";
import { Action, Code, Copy, Dialog, Empty, Field, Form, Loaded, Page, Pager, Time, useDeployments } from "../parts.js";

const LIMIT = 50;
const SCOPES = [
  ["read", "look at everything"],
  ["run", "and start and cancel runs, talk in threads"],
  ["deploy", "and deploy, roll back, set variables"],
  ["admin", "and hand out keys, read the audit log"],
];

export function Settings({ query: asked }) {
  const offset = Number(asked.offset) || 0;
  const live = useLive(query("/v1/api-keys", { limit: LIMIT, offset }), ["key_"]);
  const [making, setMaking] = useState(false);
  const [made, setMade] = useState(null);
  const revoke = (key) => async () => {
    await remove(url`/v1/api-keys/${key.id}`);
    live.reload();
  };
  return html`<${Page} title="Settings">
    <div class="section-head"><h2>API Keys</h2><button type="button" class="primary" onClick=${() => setMaking(true)}>Create API Key</button></div>
    <${Loaded} live=${live}>
      ${({ api_keys: keys }) =>
        keys.length || offset
          ? html`<div class="scrolls" tabindex="0" role="region" aria-label="API keys"><table class="list stacks">
                <thead><tr><th>Name</th><th>Scopes</th><th>Id</th><th>Created</th><th>Last used</th><th>Expires</th><th></th></tr></thead>
                <tbody>${keys.map((key) => html`<tr key=${key.id}>
                  <td><strong class="clip">${key.name}</strong></td>
                  <td>${key.scopes.map((scope) => html`<span class="chip">${scope}</span>`)}${key.deployment_ids?.length > 0 && html` <span class="faint">in ${plural(key.deployment_ids.length, "deployment")}</span>`}</td>
                  <td><${Code}>${key.id}<//></td>
                  <td data-label="created"><${Time} at=${key.created_at} /></td>
                  <td data-label="used">${key.last_used_at ? html`<${Time} at=${key.last_used_at} />` : html`<span class="faint">never</span>`}</td>
                  <td data-label="expires">${key.expires_at ? html`<${Time} at=${key.expires_at} />` : html`<span class="faint">never</span>`}</td>
                  <td class="figure"><${Action} kind="small danger" label="Revoke ${key.name}" confirm="Revoke ${key.name}? Who uses it is locked out at once." run=${revoke(key)}>Revoke<//></td>
                </tr>`)}</tbody>
              </table></div>
              <${Pager} count=${keys.length} limit=${LIMIT} offset=${offset} />`
          : html`<${Empty} title="No API key yet" />`}
    <//>
    ${making && html`<${NewKey} onClose=${() => setMaking(false)} onMade=${(key) => (setMaking(false), setMade(key), live.reload())} />`}
    ${made && html`<${Dialog} title="Your API key" onClose=${() => setMade(null)}>
      <p>This is the only time that it is shown. Keep it somewhere safe.</p>
      <div class="secret"><code>${made.key}</code><${Copy} text=${made.key} label="Copy the key" /></div>
      <div class="buttons"><button type="button" class="primary" onClick=${() => setMade(null)}>Done</button></div>
    <//>`}
  <//>`;
}

function NewKey({ onClose, onMade }) {
  const deployments = useDeployments();
  const make = async ({ name, scope, expires }, fields) => {
    const expiry = expires ? new Date(Date.now() + Number(expires) * 86400e3).toISOString() : null;
    onMade(await post("/v1/api-keys", { name, scopes: [scope], expires_at: expiry, deployment_ids: fields.getAll("deployments") }));
  };
  return html`<${Dialog} title="Create API Key" onClose=${onClose}>
    <${Form} submit="Create" onSubmit=${make} onCancel=${onClose}>
      <${Field} label="Name"><input name="name" required maxlength="100" autocomplete="off" /><//>
      <fieldset><legend>May</legend>
        ${SCOPES.map(([scope, words], at) => html`<label class="option"><input type="radio" name="scope" value=${scope} defaultChecked=${at === 1} /><span><strong>${scope}</strong> ${words}</span></label>`)}
      </fieldset>
      <${Field} label="Bound to" hint="A bound key sees what is of those deployments alone; none chosen: everything.">
        <select name="deployments" multiple size=${Math.min(5, Math.max(2, deployments?.length ?? 2))}>${(deployments ?? []).map((one) => html`<option value=${one.id}>${one.name}</option>`)}</select>
      <//>
      <${Field} label="Expires"><select name="expires"><option value="">never</option><option value="7">in a week</option><option value="30">in 30 days</option><option value="90">in 90 days</option><option value="365">in a year</option></select><//>
    <//>
  <//>`;
}
