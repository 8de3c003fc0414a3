// What a page shows, kept as the server has it: read once, read anew when the bell rings for it or after a loss.
import { useState, useEffect, useRef, useCallback } from "./html.js";
import { get } from "./api.js";
import { follow } from "./stream.js";

const GATHER = 300; // ms: a burst of changes is one look

const listeners = new Set();
const watchers = new Set();
export const connection = { state: "connecting", since: Date.now() };
let stopBell = null;

function set(state) {
  if (state === connection.state) return;
  const back = state === "live" && connection.state === "lost";
  Object.assign(connection, { state, since: Date.now() });
  watchers.forEach((watcher) => watcher());
  if (back) listeners.forEach((listener) => listener(null));
}

/** Begin to hear what changes on the server; once, after signing in. */
export function ring() {
  stopBell?.();
  stopBell = follow("/v1/changes", {
    onEvent: ({ data }) => listeners.forEach((listener) => listener(data.ids)),
    onState: (state) => set(state === "ended" || state === "refused" ? "lost" : state),
  });
}

export function silence() {
  stopBell?.();
  stopBell = null;
}

/** The state of the connection, and since when. */
export function useConnection() {
  const [, again] = useState(0);
  useEffect(() => {
    const watcher = () => again((count) => count + 1);
    watchers.add(watcher);
    return () => watchers.delete(watcher);
  }, []);
  return connection;
}

/** Call `heard` when one of these things changes (an id, or a prefix such as "run_"), or may have unnoticed. */
export function useBell(watched, heard) {
  const latest = useRef(heard);
  latest.current = heard;
  const key = watched.join(" ");
  useEffect(() => {
    const listener = (ids) => {
      if (ids === null || ids.some((id) => watched.some((one) => id.startsWith(one) || one.startsWith(id)))) latest.current();
    };
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, [key]);
}

/** What GET `path` answers: {data, error, loading, reload}. Looks again when one of `watched` changes. */
export function useLive(path, watched = []) {
  const [state, setState] = useState({ data: null, error: null, path: null });
  const current = useRef({});
  current.current.path = path;
  const reload = useCallback(() => {
    const slot = current.current;
    if (slot.timer || !slot.path) return;
    if (slot.reading === slot.path) {
      slot.again = true;
      return;
    }
    const asked = slot.path;
    slot.reading = asked;
    get(asked)
      .then(
        (data) => slot.path === asked && setState({ data, error: null, path: asked }),
        // What was read before stays in sight while the server is away.
        (error) => slot.path === asked && setState((was) => ({ ...was, error, path: asked })),
      )
      .finally(() => {
        if (slot.reading === asked) slot.reading = null;
        if (!slot.again || slot.path !== asked) return;
        slot.again = false;
        slot.timer = setTimeout(() => {
          slot.timer = null;
          reload();
        }, GATHER);
      });
  }, []);
  useEffect(() => {
    reload();
    return () => {
      clearTimeout(current.current.timer);
      current.current.timer = null;
      current.current.again = false;
    };
  }, [path]);
  useEffect(() => () => void (current.current.path = null), []);
  useBell(watched, reload);
  return { ...state, loading: state.path !== path, reload };
}

/**
 * The events of a stream, gathered: {events, state, error, version}. The array grows in place; `version` tells that it
 * did, at most once a frame.
 */
export function useEvents(path, ended) {
  const gathered = useRef({ events: [] });
  const [version, setVersion] = useState(0);
  const [state, setState] = useState({ state: "connecting" });
  useEffect(() => {
    const events = [];
    gathered.current = { events };
    setVersion(0);
    if (!path) return undefined;
    let asked = null;
    const show = () => {
      asked = null;
      setVersion(events.length);
    };
    const stop = follow(path, {
      ended,
      onEvent: (event) => {
        events.push({ id: event.id, ...event.data });
        asked ??= setTimeout(show, 60);
      },
      onState: (name, error) => setState({ state: name, error }),
    });
    return () => {
      clearTimeout(asked);
      stop();
    };
  }, [path]);
  return { events: gathered.current.events, version, ...state };
}

/** The time, looked at every `every` ms while `running`. */
export function useNow(every, running = true) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!running) return undefined;
    const timer = setInterval(() => setNow(Date.now()), every);
    return () => clearInterval(timer);
  }, [every, running]);
  return now;
}
