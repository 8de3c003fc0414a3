// Small plots: how much when, and how long it took.
import { html } from "./html.js";
import { duration, number } from "./format.js";

const WIDTH = 320;
const HEIGHT = 72;

/** Bars, stacked of {good, bad}; `buckets` is [{label, good, bad}, …]. */
export function Bars({ buckets, label }) {
  const most = Math.max(1, ...buckets.map(({ good, bad }) => good + bad));
  const step = WIDTH / buckets.length;
  return html`<svg class="plot" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${label}>
    ${buckets.map(({ label: name, good, bad }, at) => {
      const tall = (count) => (count / most) * (HEIGHT - 6);
      const x = at * step + 1;
      const wide = Math.max(1, step - 2);
      const base = HEIGHT - 1;
      return html`<g><title>${name}: ${number(good + bad)}${bad ? `, ${number(bad)} failed` : ""}</title>
        <rect class="hit" x=${at * step} y="0" width=${step} height=${HEIGHT} />
        <rect class="good" x=${x} width=${wide} y=${base - tall(good)} height=${tall(good)} />
        <rect class="bad" x=${x} width=${wide} y=${base - tall(good) - tall(bad)} height=${tall(bad)} />
      </g>`;
    })}
    <line class="floor" x1="0" x2=${WIDTH} y1=${HEIGHT - 0.5} y2=${HEIGHT - 0.5} />
  </svg>`;
}

/** Durations as points, oldest first, on a logarithmic scale. */
export function Durations({ runs, label }) {
  const took = runs.map((run) => Math.max(1, run.duration_ms));
  const least = Math.log(Math.min(...took));
  const span = Math.max(0.5, Math.log(Math.max(...took)) - least);
  const step = WIDTH / Math.max(1, runs.length);
  return html`<svg class="plot" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label=${label}>
    ${runs.map((run, at) => {
      const y = HEIGHT - 6 - ((Math.log(took[at]) - least) / span) * (HEIGHT - 14);
      return html`<circle class=${run.status} cx=${(at + 0.5) * step} cy=${y} r="2.6"><title>${duration(run.duration_ms)}</title></circle>`;
    })}
    <line class="floor" x1="0" x2=${WIDTH} y1=${HEIGHT - 0.5} y2=${HEIGHT - 0.5} />
  </svg>`;
}
