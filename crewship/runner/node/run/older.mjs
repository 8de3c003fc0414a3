// The checkpoints of a thread that lie further back than where a run starts, for a graph that asks for them.

const TIMEOUT = 60_000; // milliseconds for one answer
const TRIES = 5; // a server that restarts is back within a few seconds
const PAUSE = 1000;
const PAGE = 20;

/** Those that the spec brought along, the latest first. */
export function given(thread) {
  return async function* (ns, id) {
    for (const each of thread.older) {
      if ((ns === undefined || each.ns === ns) && (id === undefined || each.checkpoint_id === id)) yield each;
    }
  };
}

/** Those that the server has, the latest first, page by page. */
export function asked(threadId) {
  return async function* (ns, id) {
    const query = { ns, checkpoint_id: id, limit: String(PAGE) };
    for (let more = true; more; ) {
      const page = await ask(threadId, Object.entries(query).filter(([, value]) => value !== undefined));
      yield* page.checkpoints;
      more = page.more;
      query.before = page.checkpoints.at(-1)?.checkpoint_id;
    }
  };
}

async function ask(threadId, query) {
  const { CREWSHIP_API_URL: url, CREWSHIP_API_KEY: key } = process.env;
  if (!url || !key) throw new Error("CREWSHIP_API_URL and CREWSHIP_API_KEY are not set any more");
  const address = `${url}/v1/threads/${encodeURIComponent(threadId)}/checkpoints?${new URLSearchParams(query)}`;
  for (let left = TRIES; ; ) {
    left -= 1;
    try {
      const headers = { Authorization: `Bearer ${key}` };
      const answer = await fetch(address, { headers, signal: AbortSignal.timeout(TIMEOUT) });
      if (answer.ok) return await answer.json();
      if (answer.status !== 503 || !left) throw new Refused(`the server answered ${answer.status}`);
    } catch (error) {
      if (error instanceof Refused || !left) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

class Refused extends Error {}
