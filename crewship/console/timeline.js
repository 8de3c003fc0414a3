// A run as a picture: a lane for each agent and tool, what the model said, what was logged. It grows while the run does.
import { html, useState, useEffect, useRef } from "./html.js";
import { brief, duration, number, plural } from "./format.js";

const LANE = 26;
const TOP = 24;
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 15000, 30000, 60000, 120000, 300000, 600000, 1800000, 3600000, 7200000, 21600000, 86400000];
const MOST_LANES = 60;
const MOST_BARS = 400;

export function Timeline({ story, until }) {
  const box = useRef(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const watcher = new ResizeObserver(([entry]) => setWidth(Math.floor(entry.contentRect.width)));
    watcher.observe(box.current);
    return () => watcher.disconnect();
  }, []);
  const end = Math.max(until, story.last ?? 0, (story.start ?? 0) + 1);
  const label = width < 560 ? 92 : 168;
  const scale = { from: story.start ?? end - 1, to: end, x: label, width: Math.max(40, width - label - 12) };
  const lanes = lanesOf(story).slice(0, MOST_LANES);
  const height = TOP + Math.max(1, lanes.length) * LANE + 6;
  return html`<figure class="timeline">
    <div ref=${box} class="drawing">
      ${width > 0 &&
      html`<svg width=${width} height=${height} role="img" aria-label=${said(story, end)}>
        <${Axis} scale=${scale} height=${height} />
        ${lanes.map((lane, at) => html`<${Lane} key=${lane.kind + lane.name} lane=${lane} scale=${scale} y=${TOP + at * LANE} label=${label} width=${width} until=${end} />`)}
      </svg>`}
    </div>
    <details>
      <summary>As a table</summary>
      <${AsTable} story=${story} until=${end} />
    </details>
  </figure>`;
}

function lanesOf(story) {
  const lanes = story.agents.map((lane) => ({ kind: "agent", ...lane }));
  lanes.push(...story.tools.map((lane) => ({ kind: "tool", ...lane })));
  if (story.characters) lanes.push({ kind: "tokens", name: "tokens", points: story.tokens });
  if (story.logs.length) lanes.push({ kind: "logs", name: "logs", marks: story.logs });
  if (story.artifacts.length) lanes.push({ kind: "artifacts", name: "artifacts", marks: story.artifacts });
  return lanes;
}

const at = (scale, time) => scale.x + ((time - scale.from) / (scale.to - scale.from)) * scale.width;

function Axis({ scale, height }) {
  const span = scale.to - scale.from;
  const step = STEPS.find((one) => span / one <= Math.max(2, scale.width / 90)) ?? STEPS.at(-1);
  const ticks = [];
  for (let offset = 0; offset <= span && ticks.length < 40; offset += step) ticks.push(offset);
  return html`<g class="axis">
    ${ticks.map((offset) => {
      const x = Math.round(at(scale, scale.from + offset)) + 0.5;
      return html`<line x1=${x} x2=${x} y1=${TOP - 6} y2=${height} /><text x=${x + 3} y="13">${offset === 0 ? "0" : short(offset)}</text>`;
    })}
  </g>`;
}

const short = (ms) => (ms < 1000 ? `${ms} ms` : ms < 60000 ? `${ms / 1000} s` : ms < 3600000 ? `${ms / 60000} min` : `${ms / 3600000} h`);

function Lane({ lane, scale, y, label, width, until }) {
  const most = Math.floor((label - 16) / 6.6);
  const name = lane.name.length > most ? `${lane.name.slice(0, most - 1)}…` : lane.name;
  return html`<g class="lane ${lane.kind}">
    <line class="floor" x1="0" x2=${width} y1=${y + LANE - 0.5} y2=${y + LANE - 0.5} />
    <text class="name" x="4" y=${y + 17}><title>${lane.name}</title>${name}</text>
    ${drawn(lane, scale, y, until)}
  </g>`;
}

function drawn(lane, scale, y, until) {
  if (lane.points) return html`<${Curve} lane=${lane} scale=${scale} y=${y} until=${until} />`;
  if (lane.marks) return html`<${Marks} lane=${lane} scale=${scale} y=${y} />`;
  return lane.bars.slice(-MOST_BARS).map((bar) => {
    const x = at(scale, bar.start);
    const wide = Math.max(3, at(scale, bar.end ?? until) - x);
    const words = [lane.name, duration((bar.end ?? until) - bar.start), bar.error, brief(bar.detail ?? "", 200)].filter(Boolean).join(" · ");
    return html`<rect class="bar ${bar.state}" x=${x} y=${y + 5} width=${wide} height=${LANE - 11} rx="3"><title>${words}</title></rect>`;
  });
}

function Curve({ lane, scale, y, until }) {
  const [, most] = lane.points.at(-1);
  const place = ([time, count]) => `${at(scale, time).toFixed(1)},${(y + LANE - 2 - (count / most) * (LANE - 6)).toFixed(1)}`;
  // More points than pixels tell nothing more.
  const every = Math.ceil(lane.points.length / scale.width);
  const points = lane.points.filter((_, index) => index % every === 0 || index === lane.points.length - 1);
  const floor = y + LANE - 2;
  const path = `M${at(scale, points[0][0]).toFixed(1)},${floor} L${points.map(place).join(" L")} L${at(scale, until).toFixed(1)},${place(points.at(-1)).split(",")[1]} V${floor} Z`;
  return html`<path d=${path}><title>${plural(most, "character")} streamed</title></path>`;
}

function Marks({ lane, scale, y }) {
  const seen = new Map();
  for (const [time, name] of lane.marks) {
    const x = Math.round(at(scale, time));
    const worse = rank(name) > rank(seen.get(x)?.name) ? name : (seen.get(x)?.name ?? name);
    seen.set(x, { name: worse, count: (seen.get(x)?.count ?? 0) + 1 });
  }
  return [...seen].map(([x, mark]) =>
    lane.kind === "logs"
      ? html`<rect class="mark ${mark.name}" x=${x} y=${y + 7} width="2" height=${LANE - 14}><title>${plural(mark.count, "line")} (${mark.name})</title></rect>`
      : html`<circle class="mark" cx=${x} cy=${y + LANE / 2} r="4"><title>${mark.name}</title></circle>`,
  );
}

const rank = (level) => ["debug", "info", "warning", "error", "critical"].indexOf(level);

function said(story, end) {
  const took = story.start === null ? "nothing yet" : duration(end - story.start);
  const parts = [plural(story.agents.length, "agent"), plural(story.tools.length, "tool"), plural(story.logs.length, "log line")];
  return `Timeline of the run: ${took}, ${parts.join(", ")}. The table below says the same.`;
}

function AsTable({ story, until }) {
  const bars = [...story.agents.flatMap((lane) => lane.bars.map((bar) => ["agent", bar])), ...story.tools.flatMap((lane) => lane.bars.map((bar) => ["tool", bar]))];
  bars.sort(([, one], [, other]) => one.start - other.start);
  return html`<div class="scrolls" tabindex="0" role="region" aria-label="Agents and tools"><table>
    <thead><tr><th>What</th><th>Name</th><th class="figure">Began after</th><th class="figure">Took</th><th>State</th></tr></thead>
    <tbody>${bars.slice(0, 500).map(([kind, bar]) => html`<tr><td>${kind}</td><td>${bar.name}</td><td class="figure">${duration(bar.start - story.start)}</td><td class="figure">${duration((bar.end ?? until) - bar.start)}</td><td>${bar.state}${bar.error && html` – ${bar.error}`}</td></tr>`)}</tbody>
  </table></div>
  <p class="faint">${number(story.characters)} characters streamed · ${plural(story.logs.length, "log line")} · ${plural(story.artifacts.length, "artifact")}</p>`;
}
