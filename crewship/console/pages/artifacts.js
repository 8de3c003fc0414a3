// What a run left behind: to look at where it can be shown safely, and to download.
import { html, useState, useEffect } from "../html.js";
import { useLive } from "../live.js";
import { request } from "../api.js";
import { Empty, Loaded, Problem, Time } from "../parts.js";
import { number, parse, size } from "../format.js";
import { parseCsv } from "../csv.js";
import { Markdown } from "../markdown.js";
import { Tree } from "../tree.js";

const MOST_TEXT = 512 * 1024;
const MOST_ROWS = 500;
const address = (run, name) => `/v1/runs/${run.id}/artifacts/${name.split("/").map(encodeURIComponent).join("/")}`;

export function Artifacts({ run }) {
  const live = useLive(`/v1/runs/${run.id}/artifacts`, [run.id]);
  const [name, setName] = useState(null);
  return html`<${Loaded} live=${live}>
    ${({ artifacts }) => {
      if (!artifacts.length) return html`<${Empty} title="No artifact"><p>Files that a run leaves in <code>/app/artifacts/</code> appear here when it ends.</p><//>`;
      const chosen = artifacts.find((one) => one.name === name) ?? artifacts[0];
      return html`<div class="artifacts">
        <ul class="files">
          ${artifacts.map(
            (one) => html`<li key=${one.name}><button type="button" aria-pressed=${one === chosen ? "true" : "false"} onClick=${() => setName(one.name)}><span class="file">${one.name}</span><span class="faint">${size(one.size)}</span></button></li>`,
          )}
        </ul>
        <section class="preview" aria-label="Preview of ${chosen.name}">
          <header>
            <div><strong class="file">${chosen.name}</strong><span class="faint"> ${chosen.content_type} · ${size(chosen.size)} · <${Time} at=${chosen.created_at} /></span></div>
            <a class="button" href=${address(run, chosen.name)} download>Download</a>
          </header>
          <${Preview} key=${chosen.sha256 + chosen.name} run=${run} artifact=${chosen} />
        </section>
      </div>`;
    }}
  <//>`;
}

function kind({ name, content_type: type }) {
  const ending = name.split(".").pop().toLowerCase();
  if (type.startsWith("image/")) return "image";
  if (type === "application/pdf") return "pdf";
  if (type === "text/html" || type === "application/xhtml+xml") return "html";
  if (type.startsWith("audio/") || type.startsWith("video/")) return null;
  if (["md", "markdown"].includes(ending) || type === "text/markdown") return "markdown";
  if (ending === "json" || type === "application/json") return "json";
  if (["csv", "tsv"].includes(ending) || type === "text/csv") return "csv";
  if (type.startsWith("text/") || ["jsonl", "ndjson", "log", "yaml", "yml", "toml", "xml", "py", "js", "ts", "sql", "ini"].includes(ending)) return "text";
  return null;
}

function Preview({ run, artifact }) {
  const shown = kind(artifact);
  const href = address(run, artifact.name);
  if (shown === "image") return html`<img class="picture" src=${href} alt=${artifact.name} />`;
  // The server sends it with a sandbox of its own too: no origin, no scripts, nothing loaded.
  if (shown === "html") return html`<iframe class="page" sandbox="" src="${href}?preview=true" title=${artifact.name}></iframe>`;
  if (shown === "pdf") return html`<${Pdf} href=${href} name=${artifact.name} />`;
  if (shown) return html`<${TextPreview} href=${href} kind=${shown} artifact=${artifact} />`;
  return html`<p class="faint">No preview for ${artifact.content_type}. Download it to look at it.</p>`;
}

function Pdf({ href, name }) {
  const [state, setState] = useState({});
  useEffect(() => {
    let made = null;
    let wanted = true;
    request(href)
      .then((response) => response.arrayBuffer())
      .then((bytes) => {
        if (!wanted) return;
        made = URL.createObjectURL(new Blob([bytes], { type: "application/pdf" }));
        setState({ made });
      })
      .catch((error) => wanted && setState({ error }));
    return () => {
      wanted = false;
      if (made) URL.revokeObjectURL(made);
    };
  }, [href]);
  if (state.error) return html`<${Problem} error=${state.error} />`;
  return state.made ? html`<iframe class="page" src=${state.made} title=${name}></iframe>` : html`<p class="faint">Loading…</p>`;
}

function TextPreview({ href, kind: shown, artifact }) {
  const [state, setState] = useState({});
  const cut = artifact.size > MOST_TEXT;
  useEffect(() => {
    let wanted = true;
    const headers = cut ? { Range: `bytes=0-${MOST_TEXT - 1}` } : {};
    (artifact.size ? request(href, { headers }).then((response) => response.text()) : Promise.resolve(""))
      .then((text) => wanted && setState({ text }))
      .catch((error) => wanted && setState({ error }));
    return () => (wanted = false);
  }, [href]);
  if (state.error) return html`<${Problem} error=${state.error} />`;
  if (state.text === undefined) return html`<p class="faint">Loading…</p>`;
  return html`${cut && html`<p class="faint">The first ${size(MOST_TEXT)}:</p>`}<${Text} text=${state.text} kind=${shown} cut=${cut} />`;
}

function Text({ text, kind: shown, cut }) {
  if (!text) return html`<p class="faint">The file is empty.</p>`;
  if (shown === "markdown") return html`<${Markdown} text=${text} />`;
  if (shown === "json" && !cut) {
    const { value, problem } = parse(text);
    if (!problem) return html`<${Tree} value=${value} label="the file" />`;
  }
  if (shown === "csv") return html`<${Cells} text=${text} />`;
  return html`<pre tabindex="0" class="wraps">${text}</pre>`;
}

function Cells({ text }) {
  const rows = parseCsv(text, MOST_ROWS + 2);
  const [head, ...rest] = rows;
  return html`<div class="scrolls tall" tabindex="0" role="region" aria-label="Table"><table class="cells">
      <thead><tr>${head.map((cell) => html`<th scope="col">${cell}</th>`)}</tr></thead>
      <tbody>${rest.slice(0, MOST_ROWS).map((row) => html`<tr>${row.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody>
    </table></div>
    ${rest.length > MOST_ROWS && html`<p class="faint">The first ${number(MOST_ROWS)} rows.</p>`}`;
}
