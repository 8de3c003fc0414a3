// The states of a thread, newest first: what each changed, and going on from it.
import { html, useState } from "../html.js";
import { useLive } from "../live.js";
import { post, query, url } from "../api.js";
import { go, link } from "../route.js";
import { Action, Code, Dialog, Empty, Field, Form, JsonField, Loaded, Time, fieldJson, may } from "../parts.js";
import { brief, plural } from "../format.js";
import { differences } from "../diff.js";
import { Tree } from "../tree.js";

const LIMIT = 100;
const SHOWN = 12;

export function History({ thread, environment, reload }) {
  const [steps, setSteps] = useState(false);
  const [editing, setEditing] = useState(null);
  const live = useLive(query(url`/v1/threads/${thread.thread_id}/history`, { limit: LIMIT, steps: steps || undefined }), [thread.thread_id]);
  const state = url`/v1/threads/${thread.thread_id}/state`;
  const changed = () => (reload(), live.reload());
  const ways = {
    branch: async (checkpoint) => go("threads", (await post(url`/v1/threads/${thread.thread_id}/copy`, { checkpoint_id: checkpoint.checkpoint_id })).thread_id),
    back: async (checkpoint) => (await post(state, { checkpoint_id: checkpoint.checkpoint_id, environment }), changed()),
    edit: setEditing,
  };
  return html`<div class="history">
    <label class="inline"><input type="checkbox" checked=${steps} onChange=${(event) => setSteps(event.target.checked)} /> every step of each run</label>
    <${Loaded} live=${live}>
      ${({ checkpoints }) => {
        if (!checkpoints.length) return html`<${Empty} title="It remembers nothing yet" />`;
        const byId = new Map(checkpoints.map((one) => [one.checkpoint_id, one]));
        return html`<ol class="checkpoints">
          ${checkpoints.map((one, at) => {
            const parent = byId.get(one.parent_id) ?? (steps ? null : checkpoints[at + 1]);
            return html`<${Checkpoint} key=${one.checkpoint_id} checkpoint=${one} before=${parent} newest=${at === 0} ways=${ways} busy=${thread.status === "busy"} />`;
          })}
        </ol>`;
      }}
    <//>
    ${editing && html`<${Edit} state=${state} checkpoint=${editing} environment=${environment} onDone=${() => (setEditing(null), changed())} onClose=${() => setEditing(null)} />`}
  </div>`;
}

function Checkpoint({ checkpoint, before, newest, ways, busy }) {
  const [whole, setWhole] = useState(false);
  const changes = differences(before?.values, checkpoint.values);
  const [all, setAll] = useState(false);
  const way = (name) => () => ways[name](checkpoint);
  const edit = () => ways.edit({ ...checkpoint, newest });
  return html`<li class="checkpoint">
    <header>
      <div><${Time} at=${checkpoint.created_at} /> <span class="chip">${checkpoint.source ?? (checkpoint.run_id ? "run" : "edit")}</span>${newest && html` <span class="chip now">now</span>`}
        <div class="faint"><${Code}>${checkpoint.checkpoint_id}<//>${checkpoint.run_id && html` by <a href=${link("runs", checkpoint.run_id)}><${Code}>${checkpoint.run_id}<//></a>`}</div></div>
      ${may("run") && html`<div class="actions">
        ${!newest && html`<${Action} kind="small" disabled=${busy} run=${way("back")}>Go back here<//>`}
        <button type="button" class="small" disabled=${busy} onClick=${edit}>Edit</button>
        <${Action} kind="small" run=${way("branch")}>Branch<//>
      </div>`}
    </header>
    ${changes.length
      ? html`<ul class="changes">${changes.slice(0, all ? undefined : SHOWN).map(
          ({ kind, path, before: was, after: is }) => html`<li class=${kind}><span class="sign" aria-label=${kind}>${{ added: "+", removed: "−", changed: "~" }[kind]}</span> <code>${path || "values"}</code> ${kind === "changed" ? html`<del>${brief(was, 80)}</del> <ins>${brief(is, 160)}</ins>` : brief(kind === "added" ? is : was, 200)}</li>`,
        )}
        ${changes.length > SHOWN && !all && html`<li><button type="button" class="quiet small" onClick=${() => setAll(true)}>${plural(changes.length - SHOWN, "more change")}</button></li>`}</ul>`
      : html`<p class="faint">Nothing changed.</p>`}
    <button type="button" class="quiet small" aria-expanded=${whole ? "true" : "false"} onClick=${() => setWhole(!whole)}>${whole ? "Hide the state" : "Whole state"}</button>
    ${whole && html`<${Tree} value=${checkpoint.values} label="the state" />`}
  </li>`;
}

function Edit({ state, checkpoint, environment, onDone, onClose }) {
  const save = async ({ values, as_node: node }) => {
    await post(state, { values: fieldJson(values, "Values"), ...(checkpoint.newest ? {} : { checkpoint_id: checkpoint.checkpoint_id }), environment, ...(node ? { as_node: node } : {}) });
    onDone();
  };
  return html`<${Dialog} title="Edit the state" wide onClose=${onClose}>
    <${Form} submit="Save as a new state" onSubmit=${save} onCancel=${onClose}>
      <p class="faint">What you write here goes through the graph's own rules: its reducers add to lists where they would. Leave out what stays as it is.</p>
      <${JsonField} name="values" label="Values (JSON)" value=${scalars(checkpoint.values)} rows=${12} />
      <${Field} label="As the node" hint="Whose update it is, for what comes next; empty: the graph decides."><input name="as_node" class="code" autocomplete="off" /><//>
    <//>
  <//>`;
}

/** What one is likely to edit: lists grow by reducers, so they are better not sent back whole. */
function scalars(values) {
  return Object.fromEntries(Object.entries(values ?? {}).filter(([, value]) => !Array.isArray(value)));
}
