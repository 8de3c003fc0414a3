// The child of guard.py in a Node: `node run.mjs --report FD --job FD`. Runs one job with the project's own framework.

import { main } from "./run/main.mjs";

await main(process.argv.slice(2));
