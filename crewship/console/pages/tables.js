// Tables: what there is, and making one.
import { html, useState } from "../html.js";
import { useLive } from "../live.js";
import { post, query } from "../api.js";
import { go, link } from "../route.js";
import { Choice, Dialog, Empty, Field, Filters, Form, Loaded, Page, Pager, Time, may, useDeployments } from "../parts.js";
import { number } from "../format.js";

const LIMIT = 50;
export const TYPES = ["text", "number", "boolean", "date", "json"];

export function Tables({ query: asked }) {
  const offset = Number(asked.offset) || 0;
  const live = useLive(query("/v1/tables", { limit: LIMIT, offset, deployment_id: asked.deployment }), ["tbl_"]);
  const deployments = useDeployments();
  const [making, setMaking] = useState(false);
  const names = new Map((deployments ?? []).map((one) => [one.id, one.name]));
  return html`<${Page} title="Tables" actions=${may("deploy") && html`<button type="button" class="primary" onClick=${() => setMaking(true)}>New table</button>`}>
    <${Filters}><${Choice} name="deployment" label="Deployment" value=${asked.deployment} options=${[["", "All"], ...(deployments ?? []).map((one) => [one.id, one.name])]} /><//>
    <${Loaded} live=${live}>
      ${({ tables }) =>
        tables.length || offset
          ? html`<div class="scrolls" tabindex="0" role="region" aria-label="Tables"><table class="list stacks">
                <thead><tr><th>Name</th><th>Columns</th><th class="figure">Rows</th><th>Belongs to</th><th>Updated</th></tr></thead>
                <tbody>${tables.map((table) => html`<tr key=${table.id}>
                  <td><a class="row-link" href=${link("tables", table.id)}>${table.name}</a>${table.description && html`<div class="faint clip">${table.description}</div>`}</td>
                  <td><span class="clip faint">${table.columns.map((column) => column.name).join(", ")}</span></td>
                  <td class="figure" data-label="rows">${number(table.row_count)}</td>
                  <td>${table.deployment_id ? (names.get(table.deployment_id) ?? table.deployment_id) : html`<span class="faint">everybody</span>`}</td>
                  <td><${Time} at=${table.updated_at} /></td>
                </tr>`)}</tbody>
              </table></div>
              <${Pager} count=${tables.length} limit=${LIMIT} offset=${offset} />`
          : html`<${Empty} title="No table yet"><p>Rows in a table outlive runs; runs read and write them with their own key.</p><//>`}
    <//>
    ${making && html`<${NewTable} deployments=${deployments ?? []} onClose=${() => setMaking(false)} />`}
  <//>`;
}

function NewTable({ deployments, onClose }) {
  const [columns, setColumns] = useState([{ name: "", type: "text", required: false }]);
  const make = async ({ name, description, deployment }) => {
    const table = await post("/v1/tables", { name, description: description || null, deployment_id: deployment || null, columns });
    go("tables", table.id);
  };
  return html`<${Dialog} title="New table" onClose=${onClose}>
    <${Form} submit="Create" onSubmit=${make} onCancel=${onClose}>
      <${Field} label="Name"><input name="name" required autocomplete="off" /><//>
      <${Field} label="Description"><input name="description" autocomplete="off" /><//>
      <${Field} label="Belongs to"><select name="deployment"><option value="">everybody</option>${deployments.map((one) => html`<option value=${one.id}>${one.name}</option>`)}</select><//>
      <${Columns} columns=${columns} onChange=${setColumns} />
    <//>
  <//>`;
}

/** The columns of a table, to be changed. */
export function Columns({ columns, onChange }) {
  const set = (at, change) => onChange(columns.map((column, index) => (index === at ? { ...column, ...change } : column)));
  return html`<fieldset><legend>Columns</legend>
    ${columns.map((column, at) => html`<div class="column" key=${at}>
      <input aria-label="Name of column ${at + 1}" placeholder="name" required value=${column.name} onInput=${(event) => set(at, { name: event.target.value })} />
      <select aria-label="Type of column ${at + 1}" onChange=${(event) => set(at, { type: event.target.value })}>${TYPES.map((type) => html`<option value=${type} selected=${type === column.type}>${type}</option>`)}</select>
      <label class="inline"><input type="checkbox" checked=${column.required} onChange=${(event) => set(at, { required: event.target.checked })} /> required</label>
      <button type="button" class="quiet small" aria-label="Remove column ${at + 1}" disabled=${columns.length === 1} onClick=${() => onChange(columns.filter((_, index) => index !== at))}>✕</button>
    </div>`)}
    <div><button type="button" class="small" onClick=${() => onChange([...columns, { name: "", type: "text", required: false }])}>Add a column</button></div>
  </fieldset>`;
}
