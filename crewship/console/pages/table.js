// A table: its rows, sorted, filtered, edited, brought in and taken out.
import { html, useState, useRef } from "../html.js";
import { useLive } from "../live.js";
import { get, patch, post, query, remove, url } from "../api.js";
import { go, link, setQuery } from "../route.js";
import { Action, Choice, Code, Dialog, Empty, Field, Filters, Form, Loaded, Page, Pager, Search, Time, may } from "../parts.js";
import { brief, number, parse, plural, time } from "../format.js";
import { parseCsv, toCsv } from "../csv.js";
import { Columns } from "./tables.js";

const LIMIT = 50;
const AT_ONCE = 100;
const MOST_EXPORTED = 100_000;
const WAYS = [["", "is"], ["contains", "contains"], ["ne", "is not"], ["gt", ">"], ["gte", "≥"], ["lt", "<"], ["lte", "≤"]];

export function Table({ id, query: asked }) {
  const live = useLive(url`/v1/tables/${id}`, [id]);
  return html`<${Loaded} live=${live}>${(table) => html`<${Shown} table=${table} asked=${asked} reload=${live.reload} />`}<//>`;
}

function Shown({ table, asked, reload }) {
  const offset = Number(asked.offset) || 0;
  const parameters = { sort: asked.sort, ...filter(asked) };
  const rows = url`/v1/tables/${table.id}/rows`;
  const live = useLive(query(rows, { ...parameters, limit: LIMIT, offset }), [table.id]);
  const [dialog, setDialog] = useState(null);
  const close = () => setDialog(null);
  const done = () => (close(), live.reload(), reload());
  const drop = async () => {
    await remove(url`/v1/tables/${table.id}`);
    go("tables");
  };
  return html`<${Page}
    title=${table.name}
    name=${table.name}
    back=${{ href: link("tables"), text: "Tables" }}
    actions=${html`
      ${may("run") && html`<button type="button" class="primary" onClick=${() => setDialog({ kind: "row" })}>New row</button><button type="button" onClick=${() => setDialog({ kind: "import" })}>Import</button>`}
      <${Action} run=${() => save(table, rows, parameters)}>Export<//>
      ${may("deploy") && html`<button type="button" onClick=${() => setDialog({ kind: "columns" })}>Columns</button><${Action} kind="danger" confirm="Delete ${table.name} and its ${plural(table.row_count, "row")}?" run=${drop}>Delete<//>`}
    `}
  >
    <dl class="facts">
      <div><dt>Id</dt><dd><${Code}>${table.id}<//></dd></div>
      <div><dt>Rows</dt><dd>${number(table.row_count)}</dd></div>
      ${table.description && html`<div><dt>Description</dt><dd>${table.description}</dd></div>`}
      <div><dt>Updated</dt><dd><${Time} at=${table.updated_at} /></dd></div>
    </dl>
    <${RowFilter} table=${table} asked=${asked} />
    <${Loaded} live=${live}>
      ${({ rows: found }) =>
        found.length || offset
          ? html`<${Rows} table=${table} rows=${found} sort=${asked.sort} onPick=${may("run") ? (row) => setDialog({ kind: "row", row }) : null} />
              <${Pager} count=${found.length} limit=${LIMIT} offset=${offset} />`
          : html`<${Empty} title=${asked.column ? "No row is like that" : "No row yet"} />`}
    <//>
    ${dialog?.kind === "row" && html`<${RowDialog} table=${table} rows=${rows} row=${dialog.row} onDone=${done} onClose=${close} />`}
    ${dialog?.kind === "import" && html`<${Import} table=${table} rows=${rows} onDone=${done} onClose=${close} />`}
    ${dialog?.kind === "columns" && html`<${ColumnsDialog} table=${table} onDone=${done} onClose=${close} />`}
  <//>`;
}

function filter({ column, way, value }) {
  if (!column || !value) return {};
  return { [`filter[${column}]${way ? `[${way}]` : ""}`]: value };
}

function RowFilter({ table, asked }) {
  return html`<${Filters}>
    <${Choice} name="column" label="Column" value=${asked.column} options=${[["", "All rows"], ...table.columns.map(({ name }) => [name, name])]} />
    ${asked.column && html`<${Choice} name="way" label="How" value=${asked.way} options=${WAYS} /><${Search} label="Value" value=${asked.value} onSearch=${(value) => setQuery({ value, offset: "" })} />`}
  <//>`;
}

function Rows({ table, rows, sort, onPick }) {
  const turn = (name) => setQuery({ sort: sort === name ? `-${name}` : sort === `-${name}` ? "" : name, offset: "" });
  const direction = (name) => (sort === name ? "ascending" : sort === `-${name}` ? "descending" : "none");
  return html`<div class="scrolls" tabindex="0" role="region" aria-label="Rows"><table class="list">
    <thead><tr>
      ${table.columns.map(({ name, type }) => html`<th aria-sort=${direction(name)} class=${type === "number" ? "figure" : ""}><button type="button" class="quiet small" onClick=${() => turn(name)}>${name} <span aria-hidden="true">${{ ascending: "↑", descending: "↓", none: "" }[direction(name)]}</span></button></th>`)}
      <th>Updated</th><th>By</th><th></th>
    </tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${row.id}>
      ${table.columns.map(({ name, type }) => html`<td class=${type === "number" ? "figure" : ""}>${cell(row[name], type)}</td>`)}
      <td><${Time} at=${row._meta.updated_at} /></td>
      <td><span class="clip faint">${row._meta.updated_by}</span></td>
      <td class="figure">${onPick && html`<button type="button" class="quiet small" aria-label="Edit ${row.id}" onClick=${() => onPick(row)}>Edit</button>`}</td>
    </tr>`)}</tbody>
  </table></div>`;
}

function cell(value, type) {
  if (value === null || value === undefined) return html`<span class="faint">–</span>`;
  if (type === "json") return html`<span class="clip mono">${brief(value, 80)}</span>`;
  if (type === "date" && /T/.test(value)) return html`<time datetime=${value} title=${value}>${time(value)}</time>`;
  return html`<span class="clip" title=${String(value)}>${type === "number" ? String(value) : String(value)}</span>`;
}

/** A cell as text becomes a value of the column's type; throws an Error that names the column. */
export function typed({ name, type }, text) {
  if (text === "" || text === null || text === undefined) return null;
  if (type === "number") {
    const value = Number(text);
    if (Number.isNaN(value)) throw new Error(`${name}: ${text} is not a number`);
    return value;
  }
  if (type === "boolean") {
    if (!/^(true|false|yes|no|1|0)$/i.test(text)) throw new Error(`${name}: ${text} is neither true nor false`);
    return /^(true|yes|1)$/i.test(text);
  }
  if (type === "json") {
    const { value, problem } = parse(text);
    if (problem) throw new Error(`${name} is not JSON: ${problem}`);
    return value;
  }
  return text;
}

const asText = (value, type) => (value === null || value === undefined ? "" : type === "json" ? JSON.stringify(value) : String(value));

function RowDialog({ table, rows, row, onDone, onClose }) {
  const keep = async (fields) => {
    const values = {};
    for (const column of table.columns) {
      const value = typed(column, fields[`column-${column.name}`]);
      if (row || value !== null) values[column.name] = value;
    }
    await (row ? patch(`${rows}/${row.id}`, values) : post(rows, values));
    onDone();
  };
  const drop = async () => {
    await remove(`${rows}/${row.id}`);
    onDone();
  };
  return html`<${Dialog} title=${row ? "Edit the row" : "New row"} onClose=${onClose}>
    <${Form} submit="Save" onSubmit=${keep} onCancel=${onClose}>
      ${table.columns.map((column) => html`<${Field} key=${column.name} label="${column.name}${column.required ? " *" : ""}" hint=${column.type === "text" ? "" : column.type}><${Input} column=${column} value=${asText(row?.[column.name], column.type)} /><//>`)}
      ${row && html`<p class="faint">Made <${Time} at=${row._meta.created_at} /> by ${row._meta.created_by}. <${Action} kind="small danger" confirm="Delete this row?" run=${drop}>Delete the row<//></p>`}
    <//>
  <//>`;
}

function Input({ column: { name, type, required }, value }) {
  const shared = { name: `column-${name}`, required };
  if (type === "boolean") return html`<select ...${shared}>${[["", "–"], ["true", "true"], ["false", "false"]].map(([one, text]) => html`<option value=${one} selected=${one === value}>${text}</option>`)}</select>`;
  if (type === "json") return html`<textarea ...${shared} rows="3" class="code" defaultValue=${value}></textarea>`;
  return html`<input ...${shared} defaultValue=${value} inputmode=${type === "number" ? "decimal" : undefined} placeholder=${type === "date" ? "2030-01-31 or 2030-01-31T12:00:00Z" : ""} autocomplete="off" />`;
}

function ColumnsDialog({ table, onDone, onClose }) {
  const [columns, setColumns] = useState(table.columns.map(({ name, type, required }) => ({ name, type, required: Boolean(required) })));
  const change = async () => {
    await patch(url`/v1/tables/${table.id}`, { columns });
    onDone();
  };
  return html`<${Dialog} title="Columns of ${table.name}" onClose=${onClose}>
    <${Form} submit="Change" onSubmit=${change} onCancel=${onClose}>
      <p class="faint">Rows that do not fit keep the change from happening, and are named. A column that goes takes its values with it.</p>
      <${Columns} columns=${columns} onChange=${setColumns} />
    <//>
  <//>`;
}

function Import({ table, rows, onDone, onClose }) {
  const [progress, setProgress] = useState(null);
  const file = useRef(null);
  const bring = async () => {
    const [chosen] = file.current.files;
    if (!chosen) throw new Error("Choose a file");
    const records = read(table, chosen.name, await chosen.text());
    for (let at = 0; at < records.length; at += AT_ONCE) {
      setProgress(`${number(at)} of ${number(records.length)}`);
      try {
        await post(rows, records.slice(at, at + AT_ONCE));
      } catch (error) {
        throw new Error(`${plural(at, "row")} came in; then: ${error.message}`);
      }
    }
    onDone();
  };
  return html`<${Dialog} title="Import rows" onClose=${onClose}>
    <${Form} submit="Import" onSubmit=${bring} onCancel=${onClose}>
      <p class="faint">CSV whose first line names columns, or JSON lines, an object a line. Columns: ${table.columns.map(({ name }) => name).join(", ")}.</p>
      <${Field} label="File"><input ref=${file} type="file" accept=".csv,.tsv,.jsonl,.ndjson,.json" required /><//>
      ${progress && html`<p role="status" class="faint">${progress}</p>`}
    <//>
  <//>`;
}

function read(table, name, text) {
  if (!/\.(jsonl|ndjson|json)$/i.test(name)) {
    const [head, ...lines] = parseCsv(text.replace(/^\ufeff/, ""));
    const columns = (head ?? []).map((one) => table.columns.find((column) => column.name === one.trim()) ?? unknown(one));
    return lines.filter((line) => line.some((one) => one !== "")).map((line) => Object.fromEntries(columns.map((column, at) => [column.name, typed(column, line[at])]).filter(([, value]) => value !== null)));
  }
  const whole = parse(text);
  if (Array.isArray(whole.value)) return whole.value;
  return text.split("\n").filter((line) => line.trim()).map((line, at) => parse(line).value ?? unreadable(at));
}

function unknown(name) {
  throw new Error(`The table has no column ${name}`);
}

function unreadable(at) {
  throw new Error(`Line ${at + 1} is not JSON`);
}

/** All rows that the filter lets through, as CSV. */
async function save(table, rows, parameters) {
  const names = table.columns.map(({ name }) => name);
  const lines = [["id", ...names]];
  for (let offset = 0, after = null; offset < MOST_EXPORTED; offset += AT_ONCE) {
    // By the place of the last row where there is one: rows that come in meanwhile shift no page.
    const page = await get(query(rows, { ...parameters, limit: AT_ONCE, ...(after === null ? { offset } : { after }) }));
    const found = page.rows;
    after = page.next_after;
    lines.push(...found.map((row) => [row.id, ...table.columns.map(({ name, type }) => asText(row[name], type))]));
    if (found.length < AT_ONCE) break;
  }
  const address = URL.createObjectURL(new Blob([toCsv(lines)], { type: "text/csv" }));
  Object.assign(document.createElement("a"), { href: address, download: `${table.name}.csv` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}
