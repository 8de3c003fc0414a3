// Server-sent events by fetch: they go on where they were cut, for as long as somebody looks.
import { request, ApiError } from "./api.js";

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 5000;
const SILENT_FOR = 40000; // the server says something every 15 s
const HIDDEN_FOR = 20000; // a browser has six connections a server: a tab that nobody sees gives its own back

/**
 * Follow a stream until it has ended. `onEvent({id, event, data})` hears each event once; `onState` hears "connecting",
 * "live", "lost" (trying again by itself), "ended" or "refused" (with the error). Returns how to stop.
 */
export function follow(path, { onEvent, onState = () => {}, ended = () => false }) {
  let last = null;
  let stopped = false;
  let controller = null;
  let wake = () => {};
  let pause = FIRST_PAUSE;
  let hiding = null;

  async function once() {
    controller = new AbortController();
    const headers = { Accept: "text/event-stream", ...(last ? { "Last-Event-ID": last } : {}) };
    const response = await request(path, { headers, signal: controller.signal });
    if (response.status === 204) return true;
    onState("live");
    pause = FIRST_PAUSE;
    return read(response.body.getReader());
  }

  async function read(reader) {
    const decoder = new TextDecoder();
    let rest = "";
    for (;;) {
      const silence = setTimeout(() => controller.abort(), SILENT_FOR);
      const { value, done } = await reader.read().finally(() => clearTimeout(silence));
      if (done || stopped) return stopped;
      const blocks = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const event = parse(block);
        if (!event) continue;
        last = event.id ?? last;
        onEvent(event);
        if (ended(event)) return true;
      }
    }
  }

  async function run() {
    onState("connecting");
    while (!stopped) {
      if (document.hidden && hiding === "hidden") {
        await new Promise((resolve) => (wake = resolve));
        continue;
      }
      try {
        if (await once()) break;
      } catch (fault) {
        if (fault instanceof ApiError && fault.status >= 400 && fault.status < 500 && fault.status !== 429) {
          if (!stopped) onState("refused", fault);
          return;
        }
      }
      if (stopped) return;
      onState("lost");
      await new Promise((resolve) => {
        wake = resolve;
        setTimeout(resolve, pause * (0.75 + Math.random() / 2));
      });
      pause = Math.min(pause * 1.6, LONGEST_PAUSE);
    }
    if (!stopped) onState("ended");
  }

  let timer = null;
  const look = () => {
    clearTimeout(timer);
    if (document.hidden) {
      timer = setTimeout(() => {
        hiding = "hidden";
        controller?.abort();
      }, HIDDEN_FOR);
    } else {
      hiding = null;
      wake();
    }
  };
  const online = () => wake();
  document.addEventListener("visibilitychange", look);
  window.addEventListener("online", online);
  run().finally(() => {
    document.removeEventListener("visibilitychange", look);
    window.removeEventListener("online", online);
    clearTimeout(timer);
  });
  return () => {
    stopped = true;
    controller?.abort();
    wake();
  };
}

function parse(block) {
  const event = {};
  for (const line of block.split("\n")) {
    const colon = line.indexOf(": ");
    if (colon > 0) event[line.slice(0, colon)] = line.slice(colon + 2);
  }
  if (event.data === undefined) return null;
  return { ...event, data: JSON.parse(event.data) };
}
