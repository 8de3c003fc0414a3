// One job, from its first log line to its last words.

import fs from "node:fs";

import { Ending, Problem } from "./ending.mjs";
import { load } from "./entrypoint.mjs";
import { Reporter } from "./reporter.mjs";
import { install } from "./streams.mjs";

const FRAMEWORKS = { "langgraph-js": "./langgraph.mjs" }; // framework → the module beside this one that runs it

/** Run the job; the process's exit status is 0 when there is a result. */
export async function main(options) {
  const given = (name) => Number(options[options.indexOf(name) + 1]);
  const job = JSON.parse(readAll(given("--job")));
  const reporter = new Reporter(given("--report"));
  reporter.finishing.push(install(reporter));
  const ending = new Ending(reporter);
  reporter.log("info", "Starting crew execution", "runner");
  try {
    const module = FRAMEWORKS[job.framework];
    if (!module) throw new Problem(`framework ${JSON.stringify(job.framework)} is not known to this runner`);
    const entry = await load(job.entrypoint, job.app);
    const framework = await import(module);
    ending.succeed(await framework.run(entry, job, reporter, ending.stopping));
  } catch (error) {
    ending.fail(error);
  }
}

function readAll(fd) {
  const text = fs.readFileSync(fd, "utf8");
  fs.closeSync(fd);
  return text;
}
