// One job, from its first log line to its last words.

import fs from "node:fs";
import { promisify } from "node:util";

import { Ending, Problem } from "./ending.mjs";
import { load } from "./entrypoint.mjs";
import { Reporter } from "./reporter.mjs";
import { install } from "./streams.mjs";

const FRAMEWORKS = { "langgraph-js": "./langgraph.mjs" }; // framework → the module beside this one that runs it

/** Run the job; the process's exit status is 0 when there is a result. */
export async function main(options) {
  const given = (name) => (options.includes(name) ? Number(options[options.indexOf(name) + 1]) : null);
  const [call, go] = [given("--call"), given("--go")]; // of a warm sandbox: see crewship_runner/guard/calling.py
  const job = JSON.parse(readAll(given("--job")));
  const reporter = new Reporter(given("--report"));
  reporter.finishing.push(install(reporter));
  const ending = new Ending(reporter);
  if (call === null) begin(reporter);
  try {
    const module = FRAMEWORKS[job.framework];
    if (!module) throw new Problem(`framework ${JSON.stringify(job.framework)} is not known to this runner`);
    const framework = await import(module);
    const entry = await load(job.entrypoint, job.app);
    if (call !== null) Object.assign(job, await called(reporter, call, go));
    ending.succeed(await framework.run(entry, job, reporter, ending.stopping));
  } catch (error) {
    ending.fail(error);
  }
}

function begin(reporter) {
  reporter.log("info", "Starting crew execution", "runner");
}

// What this warm process is called for, once it is. Its environment is complete then.
async function called(reporter, call, go) {
  reporter.report("warm", {});
  const { bytesRead } = await promisify(fs.read)(go, Buffer.alloc(1), 0, 1, null);
  if (!bytesRead) throw new Problem("the run was asked to stop");
  fs.closeSync(go);
  const { env, ...told } = JSON.parse(readAll(call));
  Object.assign(process.env, env);
  begin(reporter);
  return told;
}

function readAll(fd) {
  const text = fs.readFileSync(fd, "utf8");
  fs.closeSync(fd);
  return text;
}
