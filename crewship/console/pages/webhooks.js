// A deployment's webhooks: tokens that start runs, endpoints that hear of their ends, and every delivery to them.
import { html, useState } from "../html.js";
import { useLive } from "../live.js";
import { patch, post, query, remove, url } from "../api.js";
import { link } from "../route.js";
import { Action, Choice, Code, Copy, Dialog, Empty, Field, Form, Loaded, Status, Time, may } from "../parts.js";
import { duration, plural } from "../format.js";

const EVENTS = ["run.succeeded", "run.failed", "run.canceled"];
const LIMIT = 50;

export function Webhooks({ deployment }) {
  const base = url`/v1/deployments/${deployment.id}/webhooks`;
  const live = useLive(query(base, { limit: 100 }), [deployment.id]);
  const [dialog, setDialog] = useState(null);
  const close = () => setDialog(null);
  const made = (webhook) => (setDialog({ kind: "secret", webhook }), live.reload());
  return html`
    <div class="section-head"><p class="faint">Incoming: a URL that starts a run. Outgoing: an endpoint that is told how runs ended.</p>${may("deploy") && html`<button type="button" class="primary" onClick=${() => setDialog({ kind: "new" })}>New webhook</button>`}</div>
    <${Loaded} live=${live}>
      ${({ webhooks }) =>
        webhooks.length
          ? html`<ul class="cards-list">${webhooks.map((webhook) => html`<${Webhook} key=${webhook.id} base=${base} webhook=${webhook} reload=${live.reload} onSecret=${made} />`)}</ul>`
          : html`<${Empty} title="No webhook" />`}
    <//>
    ${dialog?.kind === "new" && html`<${NewWebhook} base=${base} onMade=${made} onClose=${close} />`}
    ${dialog?.kind === "secret" && html`<${Secret} webhook=${dialog.webhook} onClose=${close} />`}
  `;
}

function Webhook({ base, webhook, reload, onSecret }) {
  const [open, setOpen] = useState(false);
  const [editing, setEditing] = useState(false);
  const path = `${base}/${webhook.id}`;
  const outgoing = webhook.direction === "outgoing";
  const then = (step) => async () => (await step(), reload());
  return html`<li class="checkpoint">
    <header>
      <div><strong>${webhook.name}</strong> <span class="chip">${webhook.direction}</span> ${outgoing && html`<${Status} status=${webhook.status} />`}
        <div class="faint">${outgoing ? html`<code>${webhook.url}</code> · ${(webhook.events ?? []).join(", ")}` : html`starts runs in ${webhook.environment}`} · <${Code}>${webhook.id}<//></div>
        ${webhook.paused_reason && html`<div class="wrong">${webhook.paused_reason}</div>`}</div>
      <div class="actions">
        ${outgoing && html`<button type="button" class="small" aria-expanded=${open ? "true" : "false"} onClick=${() => setOpen(!open)}>Deliveries</button>`}
        ${may("deploy") && html`
          ${outgoing && webhook.status === "paused" && html`<${Action} kind="small" run=${then(() => post(`${path}/resume`))}>Resume<//>`}
          ${outgoing && html`<${Action} kind="small" run=${async () => (await post(`${path}/test`), setOpen(true))}>Send a test<//>`}
          <button type="button" class="small" onClick=${() => setEditing(true)}>Edit</button>
          <${Action} kind="small" confirm="The present ${outgoing ? "secret" : "address"} stops working. Go on?" run=${async () => onSecret(await post(`${path}/rotate`))}>Rotate<//>
          <${Action} kind="small danger" label="Delete ${webhook.name}" confirm="Delete ${webhook.name}?" run=${then(() => remove(path))}>Delete<//>`}
      </div>
    </header>
    ${open && html`<${Deliveries} path=${path} deployment=${webhook.deployment_id} />`}
    ${editing && html`<${Edit} path=${path} webhook=${webhook} onDone=${() => (setEditing(false), reload())} onClose=${() => setEditing(false)} />`}
  </li>`;
}

function Deliveries({ path, deployment }) {
  const [status, setStatus] = useState("");
  const [chosen, setChosen] = useState(null);
  const live = useLive(query(`${path}/deliveries`, { limit: LIMIT, status }), [deployment]);
  return html`
    <div class="filters"><${Choice} name="delivery" label="Status" value=${status} options=${[["", "Any"], ["pending", "pending"], ["succeeded", "succeeded"], ["failed", "failed"]]} onPick=${setStatus} /></div>
    <${Loaded} live=${live}>
      ${({ deliveries }) =>
        deliveries.length
          ? html`<div class="scrolls" tabindex="0" role="region" aria-label="Deliveries"><table class="list stacks">
              <thead><tr><th>Delivery</th><th>Event</th><th>Status</th><th class="figure">Attempts</th><th>Created</th><th>Next attempt</th><th></th></tr></thead>
              <tbody>${deliveries.map((one) => html`<tr key=${one.id}>
                <td><button type="button" class="quiet small" onClick=${() => setChosen(one)}><${Code}>${one.id}<//></button></td>
                <td>${one.event}${one.run_id && html` <a href=${link("runs", one.run_id)}>run</a>`}</td>
                <td><${Status} status=${one.status} /></td>
                <td class="figure" data-label="attempts">${one.attempts}</td>
                <td><${Time} at=${one.created_at} /></td>
                <td>${one.next_attempt_at ? html`<${Time} at=${one.next_attempt_at} />` : html`<span class="faint">–</span>`}</td>
                <td class="figure">${may("deploy") && html`<${Action} kind="small" label="Redeliver ${one.id}" run=${async () => (await post(`${path}/deliveries/${one.id}/redeliver`), live.reload())}>Redeliver<//>`}</td>
              </tr>`)}</tbody></table></div>`
          : html`<p class="faint">Nothing was delivered yet.</p>`}
    <//>
    ${chosen && html`<${Attempts} deployment=${deployment} path="${path}/deliveries/${chosen.id}" onClose=${() => setChosen(null)} />`}
  `;
}

function Attempts({ path, deployment, onClose }) {
  const live = useLive(path, [deployment]);
  return html`<${Dialog} title="Delivery" wide onClose=${onClose}>
    <${Loaded} live=${live}>
      ${(delivery) => html`<p><${Status} status=${delivery.status} /> <${Code}>${delivery.id}<//> · ${delivery.event} · ${plural(delivery.attempts.length, "attempt")}</p>
        ${delivery.attempts.map((attempt) => html`<section class="attempt" key=${attempt.number}>
          <p><strong>${attempt.number}.</strong> <${Time} at=${attempt.started_at} /> · ${attempt.outcome}${attempt.status_code ? ` · ${attempt.status_code}` : ""}${attempt.duration_ms !== null ? ` · ${duration(attempt.duration_ms)}` : ""}${attempt.error && html` · <span class="wrong">${attempt.error}</span>`}</p>
          ${attempt.response && html`<pre tabindex="0" class="wraps">${attempt.response}</pre>`}
        </section>`)}`}
    <//>
  <//>`;
}

function NewWebhook({ base, onMade, onClose }) {
  const [direction, setDirection] = useState("outgoing");
  const make = async ({ name, url: address, environment }, fields) => {
    const outgoing = direction === "outgoing";
    onMade(await post(base, { direction, name, ...(outgoing ? { url: address, events: fields.getAll("events") } : { environment }) }));
  };
  return html`<${Dialog} title="New webhook" onClose=${onClose}>
    <${Form} submit="Create" onSubmit=${make} onCancel=${onClose}>
      <fieldset><legend>Direction</legend>
        ${[["outgoing", "tells an endpoint how runs ended"], ["incoming", "starts a run for whoever posts to it"]].map(([one, words]) => html`<label class="option"><input type="radio" name="direction" value=${one} checked=${one === direction} onChange=${() => setDirection(one)} /><span><strong>${one}</strong> ${words}</span></label>`)}
      </fieldset>
      <${Field} label="Name"><input name="name" required autocomplete="off" /><//>
      ${direction === "outgoing" ? html`<${Endpoint} />` : html`<${Field} label="Environment"><select name="environment"><option>production</option><option>staging</option></select><//>`}
    <//>
  <//>`;
}

function Endpoint({ webhook }) {
  return html`<${Field} label="URL"><input name="url" type="url" required placeholder="https://example.org/hooks" defaultValue=${webhook?.url ?? ""} /><//>
    <fieldset><legend>Tells of</legend>${EVENTS.map((event) => html`<label class="option"><input type="checkbox" name="events" value=${event} defaultChecked=${webhook ? webhook.events.includes(event) : true} /> ${event}</label>`)}</fieldset>`;
}

function Edit({ path, webhook, onDone, onClose }) {
  const change = async ({ name, url: address, environment }, fields) => {
    const outgoing = webhook.direction === "outgoing";
    await patch(path, { name, ...(outgoing ? { url: address, events: fields.getAll("events") } : { environment }) });
    onDone();
  };
  return html`<${Dialog} title="Edit ${webhook.name}" onClose=${onClose}>
    <${Form} submit="Save" onSubmit=${change} onCancel=${onClose}>
      <${Field} label="Name"><input name="name" required defaultValue=${webhook.name} autocomplete="off" /><//>
      ${webhook.direction === "outgoing" ? html`<${Endpoint} webhook=${webhook} />` : html`<${Field} label="Environment"><select name="environment">${["production", "staging"].map((one) => html`<option selected=${one === webhook.environment}>${one}</option>`)}</select><//>`}
    <//>
  <//>`;
}

function Secret({ webhook, onClose }) {
  const text = webhook.token ? `${location.origin}/webhooks/runs/${webhook.token}` : webhook.secret;
  return html`<${Dialog} title=${webhook.token ? "The address of the webhook" : "The secret of the webhook"} onClose=${onClose}>
    <p>This is the only time that it is shown. ${webhook.token ? "Whoever knows it can start runs." : "Deliveries are signed with it."}</p>
    <div class="secret"><code>${text}</code><${Copy} text=${text} label="Copy it" /></div>
    <div class="buttons"><button type="button" class="primary" onClick=${onClose}>Done</button></div>
  <//>`;
}
