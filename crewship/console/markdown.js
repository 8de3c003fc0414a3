// Markdown as elements, never as HTML text: what a run wrote can show, but not act.
import { html } from "./html.js";

const FENCE = /^(`{3,}|~{3,})\s*(\S*)/;
const HEADING = /^(#{1,6})\s+(.*?)\s*#*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const RULE = /^\s*([-*_])(\s*\1){2,}\s*$/;
const DIVIDER = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;
const INLINE = /(`+)([\s\S]+?)\1|!?\[([^\]]*)\]\(([^)\s]+)[^)]*\)|\*\*([^*]+)\*\*|__([^_]+)__|\*([^*\n]+)\*|\b_([^_\n]+)_\b|~~([^~]+)~~|(https?:\/\/[^\s<>)]+)/g;

export const Markdown = ({ text }) => html`<div class="markdown">${blocks(text.replace(/\r\n?/g, "\n").split("\n"))}</div>`;

function blocks(lines) {
  const found = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    if (!line.trim()) {
      at += 1;
      continue;
    }
    const [element, next] = fenced(lines, at) ?? heading(lines, at) ?? rule(lines, at) ?? quote(lines, at) ?? list(lines, at) ?? table(lines, at) ?? paragraph(lines, at);
    found.push(element);
    at = next;
  }
  return found;
}

function fenced(lines, at) {
  const fence = FENCE.exec(lines[at]);
  if (!fence) return null;
  let end = at + 1;
  while (end < lines.length && !lines[end].startsWith(fence[1])) end += 1;
  return [html`<pre tabindex="0"><code>${lines.slice(at + 1, end).join("\n")}</code></pre>`, end + 1];
}

function heading(lines, at) {
  const found = HEADING.exec(lines[at]);
  // The page has headings of its own above: those of a document begin below them.
  return found && [html`<${`h${Math.min(6, found[1].length + 2)}`}>${inline(found[2])}</>`, at + 1];
}

function rule(lines, at) {
  return RULE.test(lines[at]) ? [html`<hr />`, at + 1] : null;
}

function quote(lines, at) {
  let end = at;
  while (end < lines.length && /^\s*>/.test(lines[end])) end += 1;
  if (end === at) return null;
  return [html`<blockquote>${blocks(lines.slice(at, end).map((line) => line.replace(/^\s*> ?/, "")))}</blockquote>`, end];
}

function list(lines, at) {
  const first = ITEM.exec(lines[at]);
  if (!first) return null;
  const indent = first[1].length;
  const items = [];
  let end = at;
  while (end < lines.length) {
    const item = ITEM.exec(lines[end]);
    if (item && item[1].length <= indent + 1) {
      if (item[1].length < indent) break;
      items.push([item[3]]);
    } else if (items.length && (/^\s+\S/.test(lines[end]) || (!lines[end].trim() && /^\s+\S/.test(lines[end + 1] ?? "")))) {
      items.at(-1).push(lines[end].slice(Math.min(indent + 2, lines[end].search(/\S|$/))));
    } else break;
    end += 1;
  }
  const drawn = items.map((item) => html`<li>${item.length === 1 ? inline(item[0]) : [inline(item[0]), blocks(item.slice(1))]}</li>`);
  return [/\d/.test(first[2]) ? html`<ol start=${parseInt(first[2], 10)}>${drawn}</ol>` : html`<ul>${drawn}</ul>`, end];
}

function table(lines, at) {
  if (!lines[at].includes("|") || !DIVIDER.test(lines[at + 1] ?? "")) return null;
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());
  let end = at + 2;
  while (end < lines.length && lines[end].includes("|")) end += 1;
  const rows = lines.slice(at + 2, end).map((line) => html`<tr>${cells(line).map((cell) => html`<td>${inline(cell)}</td>`)}</tr>`);
  return [html`<div class="scrolls" tabindex="0"><table><thead><tr>${cells(lines[at]).map((cell) => html`<th>${inline(cell)}</th>`)}</tr></thead><tbody>${rows}</tbody></table></div>`, end];
}

function paragraph(lines, at) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !FENCE.test(lines[end]) && !HEADING.test(lines[end]) && !ITEM.test(lines[end]) && !/^\s*>/.test(lines[end])) end += 1;
  return [html`<p>${inline(lines.slice(at, end).join("\n"))}</p>`, end];
}

function inline(text) {
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    parts.push(text.slice(from, match.index));
    const [all, , code, label, target, strong, strong2, soft, soft2, gone, bare] = match;
    if (code) parts.push(html`<code>${code}</code>`);
    else if (target) parts.push(address(target, label || target));
    else if (strong ?? strong2) parts.push(html`<strong>${inline(strong ?? strong2)}</strong>`);
    else if (soft ?? soft2) parts.push(html`<em>${inline(soft ?? soft2)}</em>`);
    else if (gone) parts.push(html`<del>${gone}</del>`);
    else if (bare) parts.push(address(bare, bare));
    from = match.index + all.length;
  }
  parts.push(text.slice(from));
  return parts;
}

/** A link leads out, and only where one can see that it does. */
function address(target, label) {
  if (!/^(https?:|mailto:)/i.test(target)) return label;
  return html`<a href=${target} target="_blank" rel="noopener noreferrer nofollow">${label}</a>`;
}
