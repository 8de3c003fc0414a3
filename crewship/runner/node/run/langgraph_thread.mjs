// A LangGraph.js graph in a thread: with our checkpointer, from where the thread stands, to where it stands then.

import { Problem } from "./ending.mjs";
import * as older from "./older.mjs";
import { TooLarge } from "./reporter.mjs";
import { saverFor } from "./saver.mjs";

const ANSWERABLE = /^[0-9a-f]{32}$/; // the ids by which LangGraph takes answers
const COPY = "__copy__"; // the node as which LangGraph puts a checkpoint again

/**
 * Gives the graph a checkpointer in the place of its own, and knows what to ask it for this run. `library` is the
 * project's @langchain/langgraph. Throws Problem where the spec's checkpoints cannot be read.
 */
export class Conversation {
  #library;
  #graph;
  #job;
  #reporter;
  #thread;
  #saver;

  constructor(library, graph, job, reporter) {
    [this.#library, this.#graph, this.#job, this.#reporter] = [library, graph, job, reporter];
    this.#thread = job.thread ?? {};
    const keep = (kind, fields) => reporter.keep(kind, fields);
    this.#saver = saverFor(library, job.thread_id, keep, (values) => stateOf(graph, values), this.#older());
    this.#saver.load(this.#thread);
    graph.checkpointer = this.#saver;
    snapshotAlways(graph);
  }

  // Where the checkpoints come from that lie further back than the head.
  #older() {
    if (this.#thread.older != null) return older.given(this.#thread);
    return this.#thread.head != null ? older.asked(this.#job.thread_id) : null;
  }

  /** Of the run's config; the saver's latest checkpoint is the head, so that none has to be named. */
  get configurable() {
    return { thread_id: this.#job.thread_id, checkpoint_ns: "" };
  }

  /** An answer, or the run's input; the values of a thread that no graph has run in yet lie below it. */
  async input() {
    const resume = this.#job.resume;
    if (resume == null) return this.#below(this.#job.input);
    const state = await this.#graph.getState({ configurable: this.configurable });
    const asked = interrupts(state).map((each) => each.id);
    if (resume.value == null && !asked.length) return null; // a breakpoint: to go on is all
    return this.#command(fitting(resume.value, asked));
  }

  #below(given) {
    const values = this.#thread.values;
    if (this.#thread.head != null || !isObject(values) || !Object.keys(values).length) return given;
    return { ...values, ...(isObject(given) ? given : {}) };
  }

  #command(resume) {
    const { Command } = this.#library;
    if (Command === undefined) {
      throw new Problem("this release of LangGraph.js cannot resume; it is there from 0.2.32 on");
    }
    return new Command({ resume });
  }

  /** The run's result; what the graph asks is reported before it. */
  async end(values, interrupted) {
    const state = await this.#graph.getState({ configurable: this.configurable });
    const asked = interrupts(state);
    // Before 1.0 the stream does not say that it stopped; a breakpoint asks nothing and is none of the tasks' interrupts.
    if (interrupted || asked.length || state.next?.length) this.#keep(asked);
    return values === undefined ? state.values : values;
  }

  #keep(asked) {
    try {
      this.#reporter.keep("interrupted", { interrupts: asked });
    } catch (error) {
      throw error instanceof TooLarge ? new Problem(error.message) : error;
    }
  }

  /** Put a checkpoint by hand, as LangGraph's `updateState` does; the values that are the state then. */
  async update() {
    const { values, as_node: node, checkpoint_id: id } = this.#job.update ?? {};
    const configurable = this.configurable;
    if (id != null) {
      if (!this.#saver.knows(id)) throw new Problem(`checkpoint ${id} of the thread is not available to this run`);
      configurable.checkpoint_id = id;
    }
    const [given, as] = values == null ? [null, node ?? COPY] : [this.#below(values), node ?? undefined];
    await this.#graph.updateState({ configurable }, given, as);
    return (await this.#graph.getState({ configurable: this.configurable })).values;
  }
}

// The answer in a form that this release takes for what it is; no release takes null.
function fitting(answer, asked) {
  const byId = asked.every((each) => ANSWERABLE.test(each));
  if (answer == null && asked.length > 1) {
    throw new Problem(`${asked.length} questions wait: resume must be an object of answers by interrupt id`);
  }
  if (answer == null) {
    if (!byId) throw new Problem("this release of LangGraph.js cannot be answered with null");
    return { [asked[0]]: null };
  }
  const names = isObject(answer) ? Object.keys(answer) : [];
  if (!byId && names.length && names.every((name) => asked.includes(name))) {
    if (asked.length > 1) throw new Problem("this release of LangGraph.js cannot be answered several questions by their ids");
    return answer[asked[0]];
  }
  return answer;
}

// All that is asked and not answered, with ids by which it can be answered where the release has such.
function interrupts(state) {
  const found = (state.tasks ?? []).flatMap((task) => task.interrupts ?? []);
  return found.map((each) => ({ id: idOf(each), value: each.value ?? null }));
}

function idOf(interrupt) {
  return String(interrupt.id ?? interrupt.interrupt_id ?? (interrupt.ns ?? []).join("|"));
}

// The state as `getState` shows it, from the values that a checkpoint has for the channels.
function stateOf(graph, values) {
  const names = graph.streamChannelsAsIs;
  if (typeof names === "string") return valueOf(graph, names, values)?.[1];
  return Object.fromEntries(names.map((name) => valueOf(graph, name, values)).filter(Boolean));
}

// Name and value; null for a channel that is empty.
function valueOf(graph, name, values) {
  if (!(name in values)) return null;
  try {
    return [name, graph.channels[name].fromCheckpoint(values[name]).get()];
  } catch (error) {
    return error?.name === "EmptyChannelError" ? null : [name, values[name]];
  }
}

// Channels that would be told as differences are told whole: the next run gets the head, not all before it.
function snapshotAlways(graph) {
  const graphs = [graph];
  try {
    graphs.push(...[...graph.getSubgraphs(undefined, true)].map(([, inner]) => inner));
  } catch {
    // an older release, or another kind of runnable
  }
  for (const each of graphs) {
    for (const channel of Object.values(each.channels ?? {})) {
      if (channel && "snapshotFrequency" in channel) channel.snapshotFrequency = 1;
    }
  }
}

function isObject(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}
