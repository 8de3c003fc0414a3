// Runs a LangGraph.js graph: the input is its initial state, its final state is the run's output.
//
// LangGraph.js 0.2 and later; what an older release does not tell is left out of the events.

import { Problem } from "./ending.mjs";
import { packageOf } from "./entrypoint.mjs";
import { GraphEvents } from "./langgraph_events.mjs";

const INTERRUPT = "__interrupt__"; // the key under which LangGraph hands out that it stopped to ask
const NEEDS_THREAD = "the graph stopped at an interrupt; interrupts need a thread";
const UPDATE = "update_state"; // the mode of a job that runs no node
const MODES = ["updates", "values"]; // interrupts come with the updates, the final state is the last of the values

/** Run the entrypoint's graph to its end; its final state. `signal` fires when the run is asked to stop. */
export async function run(entry, job, reporter, signal) {
  const graph = await graphOf(entry, job);
  const config = { callbacks: [new GraphEvents(reporter)], signal };
  if (!("streamMode" in graph)) {
    // a chain or another runnable, which has no state
    if (job.mode === UPDATE) throw new Problem("entrypoint: this is no graph and has no state to update");
    return graph.invoke(job.input, config);
  }
  if (job.thread_id !== null) return converse(graph, job, config, reporter);
  if (typeof graph.checkpointer?.getTuple === "function") config.configurable = { thread_id: job.run_id };
  const final = await stream(graph, job.input, config);
  if (final.interrupted || (await stopped(graph, config))) throw new Problem(NEEDS_THREAD);
  return final.values;
}

// A compiled graph from what the entrypoint is or returns: called, awaited or compiled as it needs.
async function graphOf(entry, job) {
  let made = await entry;
  if (typeof made === "function" && !isGraph(made)) {
    made = await made({ configurable: { thread_id: job.thread_id ?? job.run_id } });
  }
  if (!isGraph(made) && typeof made?.compile === "function") made = made.compile();
  if (isGraph(made?.graph)) made = made.graph; // an agent of langchain's createAgent holds its graph
  if (!isGraph(made)) {
    const kind = made?.constructor?.name ?? typeof made;
    throw new Problem(`entrypoint: ${kind} is neither a graph nor a function that returns one`);
  }
  return made;
}

function isGraph(value) {
  return typeof value?.stream === "function" && typeof value?.invoke === "function";
}

// The final state of a run in a thread, or after an update of the thread's state.
async function converse(graph, job, config, reporter) {
  const { Conversation } = await import("./langgraph_thread.mjs"); // and with it what no other run needs
  const library = await packageOf("@langchain/langgraph", job.entrypoint, job.app);
  const conversation = new Conversation(library, graph, job, reporter);
  if (job.mode === UPDATE) return conversation.update();
  config.configurable = conversation.configurable;
  config.durability = "sync"; // a super-step is reported before the next begins, where this release offers that
  const final = await stream(graph, await conversation.input(), config);
  return conversation.end(final.values, final.interrupted);
}

// Run the graph to its end, or to an interrupt: the last values, and whether it stopped at one.
async function stream(graph, given, config) {
  const final = { values: undefined, interrupted: false };
  for await (const [mode, chunk] of await graph.stream(given, { ...config, streamMode: MODES })) {
    // What says that it stopped is a piece of its own, of either mode, or lies beside the values.
    const asks = chunk !== null && typeof chunk === "object" && INTERRUPT in chunk;
    const { [INTERRUPT]: _, ...values } = asks ? chunk : {};
    if (asks) final.interrupted = true;
    if (mode === "values" && (!asks || Object.keys(values).length)) final.values = asks ? values : chunk;
  }
  return final;
}

// Older releases say nothing in the stream; with a checkpointer of the project's own the state tells.
async function stopped(graph, config) {
  if (!config.configurable) return false;
  const state = await graph.getState({ configurable: config.configurable });
  return (state.tasks ?? []).some((task) => task.interrupts?.length);
}
