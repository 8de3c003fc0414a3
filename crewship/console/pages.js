// The sections of the console: what each shows as a whole, and of one thing.
import { Overview } from "./pages/overview.js";
import { Runs } from "./pages/runs.js";
import { Run } from "./pages/run.js";
import { Deployments } from "./pages/deployments.js";
import { Deployment } from "./pages/deployment.js";
import { Threads } from "./pages/threads.js";
import { Thread } from "./pages/thread.js";
import { Tables } from "./pages/tables.js";
import { Table } from "./pages/table.js";
import { Audit } from "./pages/audit.js";
import { Settings } from "./pages/settings.js";

/** In the order of the navigation; `key` follows g on the keyboard, `needs` is the scope without which it is not there. */
export const SECTIONS = [
  { id: "overview", title: "Overview", key: "o" },
  { id: "runs", title: "Runs", key: "r" },
  { id: "deployments", title: "Deployments", key: "d" },
  { id: "threads", title: "Threads", key: "t" },
  { id: "tables", title: "Tables", key: "b" },
  { id: "audit", title: "Audit", key: "a", needs: "admin" },
  { id: "settings", title: "Settings", key: "s", needs: "admin" },
];

export const PAGES = {
  overview: { all: Overview },
  runs: { all: Runs, one: Run },
  deployments: { all: Deployments, one: Deployment },
  threads: { all: Threads, one: Thread },
  tables: { all: Tables, one: Table },
  audit: { all: Audit },
  settings: { all: Settings },
};
