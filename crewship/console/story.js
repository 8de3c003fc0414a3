// What a run's events tell: who worked from when to when, what was said, how it ended. Grows event by event.

/** A story without an event. `upTo` of `tell` is how many events it holds. */
export function begin() {
  return { told: 0, start: null, last: null, status: "pending", agents: [], tools: [], tokens: [], characters: 0, logs: [], artifacts: [], checkpoints: 0, ended: null, open: [] };
}

/** Tell the events that the story does not hold yet, up to that many; returns the same story. */
export function tell(story, events, upTo = events.length) {
  for (; story.told < Math.min(upTo, events.length); story.told += 1) add(story, events[story.told]);
  return story;
}

function add(story, event) {
  const at = Date.parse(event.timestamp);
  story.start ??= at;
  story.last = Math.max(story.last ?? at, at);
  const payload = event.payload;
  switch (event.type) {
    case "run.started":
      story.status = "running";
      story.started = at;
      break;
    case "run.retried":
      story.open.forEach((bar) => finish(bar, at, "canceled"));
      story.open = [];
      story.status = "pending";
      break;
    case "agent.started":
      start(story, story.agents, payload.agent ?? "erased", at, payload.task);
      break;
    case "agent.completed":
    case "agent.error":
      end(story, story.agents, payload.agent ?? "erased", at, event.type === "agent.error" ? payload.error : null);
      break;
    case "tool.called":
      start(story, story.tools, payload.tool, at, payload.input);
      break;
    case "tool.result":
    case "tool.error":
      end(story, story.tools, payload.tool, at, event.type === "tool.error" ? payload.error : null);
      break;
    case "token":
      story.characters += payload.text?.length ?? 0;
      story.tokens.push([at, story.characters]);
      break;
    case "log":
      story.logs.push([at, payload.level]);
      break;
    case "artifact":
      story.artifacts.push([at, payload.name ?? "erased"]);
      break;
    case "checkpoint":
      story.checkpoints += 1;
      break;
    case "run.completed":
    case "run.failed":
    case "run.canceled":
      story.status = { "run.completed": "succeeded", "run.failed": "failed", "run.canceled": "canceled" }[event.type];
      story.ended = at;
      story.open.forEach((bar) => finish(bar, at, story.status === "succeeded" ? "done" : "canceled"));
      story.open = [];
      break;
  }
}

function start(story, lanes, name, at, detail) {
  let lane = lanes.find((one) => one.name === name);
  if (!lane) lanes.push((lane = { name, bars: [] }));
  const bar = { lanes, name, start: at, end: null, state: "running", detail };
  lane.bars.push(bar);
  story.open.push(bar);
}

function end(story, lanes, name, at, error) {
  const index = story.open.findIndex((bar) => bar.lanes === lanes && bar.name === name);
  if (index < 0) return;
  const [bar] = story.open.splice(index, 1);
  finish(bar, at, error === null ? "done" : "failed");
  bar.error = error;
}

function finish(bar, at, state) {
  bar.end = at;
  bar.state = state;
}
