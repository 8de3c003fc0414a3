// A deployment's schedules: when runs begin by themselves, and what came of it.
import { html, useState } from "../html.js";
import { useLive } from "../live.js";
import { patch, post, query, remove, url } from "../api.js";
import { link } from "../route.js";
import { Action, Code, Dialog, Empty, Field, Form, JsonField, Loaded, Status, Time, fieldJson, may } from "../parts.js";
import { brief, duration } from "../format.js";

const OVERLAPS = [["skip", "leave this time out"], ["queue", "wait for it"], ["allow", "run beside it"]];
const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "UTC";

export function Schedules({ deployment }) {
  const base = url`/v1/deployments/${deployment.id}/schedules`;
  const live = useLive(query(base, { limit: 100 }), ["sch_", deployment.id]);
  const [editing, setEditing] = useState(null);
  const close = () => setEditing(null);
  return html`
    <div class="section-head"><p class="faint">Runs that begin by the clock.</p>${may("deploy") && html`<button type="button" class="primary" onClick=${() => setEditing({})}>New schedule</button>`}</div>
    <${Loaded} live=${live}>
      ${({ schedules }) =>
        schedules.length
          ? html`<ul class="cards-list">${schedules.map((schedule) => html`<${Schedule} key=${schedule.id} path="${base}/${schedule.id}" schedule=${schedule} reload=${live.reload} onEdit=${() => setEditing(schedule)} />`)}</ul>`
          : html`<${Empty} title="No schedule" />`}
    <//>
    ${editing && html`<${Edit} base=${base} schedule=${editing} onDone=${() => (close(), live.reload())} onClose=${close} />`}
  `;
}

function Schedule({ path, schedule, reload, onEdit }) {
  const [open, setOpen] = useState(false);
  const paused = schedule.status === "paused";
  const then = (step) => async () => (await step(), reload());
  return html`<li class="checkpoint">
    <header>
      <div><strong>${schedule.name ?? schedule.cron}</strong> <code>${schedule.cron}</code> <span class="faint">${schedule.timezone}</span> <${Status} status=${schedule.status} />
        <div class="faint">in ${schedule.environment} · while the last one runs: ${schedule.overlap} · catches up ${duration(schedule.catch_up_seconds * 1000)} · <${Code}>${schedule.id}<//></div>
        <div>${schedule.next?.length ? html`Next: ${schedule.next.slice(0, 3).map((at, index) => html`${index > 0 && " · "}<${Time} at=${at} />`)}` : html`<span class="faint">No time to come</span>`}
        ${schedule.last_at && html` <span class="faint">Last: <${Time} at=${schedule.last_at} /></span>`}</div></div>
      <div class="actions">
        <button type="button" class="small" aria-expanded=${open ? "true" : "false"} onClick=${() => setOpen(!open)}>History</button>
        ${may("deploy") && html`
          <${Action} kind="small" run=${then(() => post(`${path}/${paused ? "resume" : "pause"}`))}>${paused ? "Resume" : "Pause"}<//>
          <button type="button" class="small" onClick=${onEdit}>Edit</button>
          <${Action} kind="small danger" label="Delete ${schedule.name ?? schedule.cron}" confirm="Delete this schedule?" run=${then(() => remove(path))}>Delete<//>`}
      </div>
    </header>
    ${open && html`<${History} path=${path} id=${schedule.id} />`}
  </li>`;
}

function History({ path, id }) {
  const live = useLive(`${path}/history?limit=50`, [id, "sch_"]);
  return html`<${Loaded} live=${live}>
    ${({ history }) =>
      history.length
        ? html`<div class="scrolls" tabindex="0" role="region" aria-label="History"><table class="list stacks">
            <thead><tr><th>Time</th><th>What came of it</th><th>Run</th><th>Why</th></tr></thead>
            <tbody>${history.map((tick) => html`<tr key=${tick.at}>
              <td><${Time} at=${tick.at} /></td><td>${tick.outcome}${tick.count > 1 ? ` ×${tick.count}` : ""}</td>
              <td>${tick.run_id ? html`<a href=${link("runs", tick.run_id)}><${Code}>${tick.run_id}<//></a>` : html`<span class="faint">–</span>`}</td>
              <td><span class="faint">${brief(tick.reason ?? "", 120)}</span></td>
            </tr>`)}</tbody></table></div>`
        : html`<p class="faint">Its first time is still to come.</p>`}
  <//>`;
}

function Edit({ base, schedule, onDone, onClose }) {
  const keep = async (fields) => {
    const wanted = {
      name: fields.name || null,
      cron: fields.cron,
      timezone: fields.timezone,
      environment: fields.environment,
      overlap: fields.overlap,
      catch_up_seconds: Number(fields.catch_up),
      input: fieldJson(fields.input, "Input"),
    };
    await (schedule.id ? patch(`${base}/${schedule.id}`, wanted) : post(base, wanted));
    onDone();
  };
  return html`<${Dialog} title=${schedule.id ? "Edit the schedule" : "New schedule"} onClose=${onClose}>
    <${Form} submit="Save" onSubmit=${keep} onCancel=${onClose}>
      <${Field} label="Name"><input name="name" defaultValue=${schedule.name ?? ""} autocomplete="off" /><//>
      <div class="side-by-side">
        <${Field} label="Cron expression" hint="minute hour day month weekday, or @daily"><input name="cron" required class="code" defaultValue=${schedule.cron ?? ""} placeholder="0 9 * * mon-fri" autocomplete="off" /><//>
        <${Field} label="Time zone"><input name="timezone" required defaultValue=${schedule.timezone ?? ZONE} autocomplete="off" /><//>
      </div>
      <div class="side-by-side">
        <${Field} label="Environment"><select name="environment">${["production", "staging"].map((one) => html`<option selected=${one === schedule.environment}>${one}</option>`)}</select><//>
        <${Field} label="While the last one runs"><select name="overlap">${OVERLAPS.map(([one, words]) => html`<option value=${one} selected=${one === schedule.overlap}>${one}: ${words}</option>`)}</select><//>
      </div>
      <${Field} label="Catch up, in seconds" hint="After a downtime, how far back a missed time still counts."><input name="catch_up" type="number" min="0" required defaultValue=${schedule.catch_up_seconds ?? 3600} /><//>
      <${JsonField} name="input" label="Input (JSON)" value=${schedule.input ?? {}} rows=${5} />
    <//>
  <//>`;
}
