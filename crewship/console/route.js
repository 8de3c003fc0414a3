// Where one is: #/runs/run_1?tab=logs is {path: ["runs", "run_1"], query: {tab: "logs"}}.
import { useState, useEffect } from "./html.js";

function read() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").filter(Boolean).map(decodeURIComponent), query: Object.fromEntries(new URLSearchParams(search)) };
}

export function link(...path) {
  return `#/${path.map(encodeURIComponent).join("/")}`;
}

export function go(...path) {
  location.hash = link(...path);
}

/** Set parameters of the address; those that are empty leave it. Going back does not count each of them. */
export function setQuery(changes) {
  const { path, query } = read();
  const kept = Object.entries({ ...query, ...changes }).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  history.replaceState(null, "", link(...path) + (kept.length ? `?${new URLSearchParams(kept)}` : ""));
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}

/** Whether one is on the way to another page, which has not taken the focus yet. */
export const arrival = { pending: false };

export function useRoute() {
  const [route, setRoute] = useState(read);
  useEffect(() => {
    const changed = () =>
      setRoute((before) => {
        const next = read();
        arrival.pending ||= next.path.join("/") !== before.path.join("/");
        return next;
      });
    window.addEventListener("hashchange", changed);
    return () => window.removeEventListener("hashchange", changed);
  }, []);
  return route;
}
