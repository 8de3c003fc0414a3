// LangGraph's callbacks as reports: nodes are agents, and tools, and the tokens of models that the project streams.

import { messageOf } from "./failures.mjs";

const STEP = "graph:step:"; // LangGraph tags the run of a node itself with this, and nothing inside of it
const HIDDEN = "langsmith:hidden";
const SILENT = ["nostream", "langsmith:nostream"]; // LangGraph's own tags for models whose tokens nobody should see

/** Hears the callbacks of one run. Awaited, so that events and prints keep their order. */
export class GraphEvents {
  // What LangChain asks of every handler; none of its classes is needed for it.
  name = "crewship_events";
  awaitHandlers = true;
  raiseError = false;
  ignoreLLM = false;
  ignoreChain = false;
  ignoreAgent = false; // and with it tools
  ignoreRetriever = true;
  ignoreCustomEvent = true;

  #reporter;
  #nodes = new Map(); // run id of a node → its name
  #places = new Map(); // run id of a node → where it stands among graphs inside graphs
  #tools = new Map(); // run id of a tool → its name
  #models = new Map(); // run id of a model → the node that asked it

  constructor(reporter) {
    this.#reporter = reporter;
  }

  copy() {
    return this;
  }

  toJSON() {
    return { name: this.name };
  }

  /** A node begins, or something inside of one, which is not told. */
  handleChainStart(_chain, _inputs, runId, _parent, tags = [], metadata = {}, _type = undefined, called = undefined) {
    const place = metadata?.langgraph_checkpoint_ns;
    const name = String(metadata?.langgraph_node || called || "");
    const isNode = (tags ?? []).some((tag) => tag.startsWith(STEP));
    // A task of the functional API has no such tag; it is the first in a place of its own that bears its name.
    const isTask = Boolean(place) && called === name && ![...this.#places.values()].includes(place);
    if ((isNode || isTask) && !["", "__start__"].includes(name) && !(tags ?? []).includes(HIDDEN)) {
      this.#nodes.set(runId, name);
      this.#places.set(runId, place);
      this.#reporter.report("agent.started", { agent: name, task: name });
    }
  }

  /** A node's update is its output. */
  handleChainEnd(output, runId) {
    const name = this.#end(runId);
    if (name !== undefined) this.#reporter.report("agent.completed", { agent: name, task: name, output });
  }

  /** A node failed, unless its error is LangGraph's way to ask somebody or to go to the parent graph. */
  handleChainError(error, runId) {
    const name = this.#end(runId);
    if (name === undefined) return;
    if (error?.name === "ParentCommand") {
      this.#reporter.report("agent.completed", { agent: name, task: name, output: error.command });
    } else if (!["GraphInterrupt", "NodeInterrupt", "GraphBubbleUp"].includes(error?.name) && !error?.is_bubble_up) {
      this.#reporter.report("agent.error", { agent: name, error: messageOf(error) });
    }
  }

  /** A tool is called: with its arguments by name where they are known, else with its input as text. */
  handleToolStart(tool, input, runId, _parent, _tags, _metadata, called) {
    const name = String(called || tool?.name || tool?.id?.at?.(-1) || "tool");
    this.#tools.set(runId, name);
    this.#reporter.report("tool.called", { tool: name, input: parsed(input) });
  }

  /** A tool's result; of a message its content. */
  handleToolEnd(output, runId) {
    const content = output && typeof output === "object" && "content" in output ? output.content : output;
    this.#reporter.report("tool.result", { tool: this.#tool(runId), output: content });
  }

  /** A tool threw. */
  handleToolError(error, runId) {
    this.#reporter.report("tool.error", { tool: this.#tool(runId), error: messageOf(error) });
  }

  /** Remember whose tokens will come. */
  handleChatModelStart(_model, _messages, runId, _parent, _params, tags, metadata) {
    if (!(tags ?? []).some((tag) => SILENT.includes(tag))) this.#models.set(runId, String(metadata?.langgraph_node ?? ""));
  }

  handleLLMStart(...given) {
    this.handleChatModelStart(...given);
  }

  /** A piece of a model's output; the guard joins what comes close together. */
  handleLLMNewToken(token, _index, runId) {
    const agent = this.#models.get(runId);
    if (token && typeof token === "string" && agent !== undefined) {
      this.#reporter.report("token", { agent, text: token });
    }
  }

  /** No more tokens of this model. */
  handleLLMEnd(_output, runId) {
    this.#models.delete(runId);
  }

  handleLLMError(_error, runId) {
    this.#models.delete(runId);
  }

  // The name of the node whose run ends, undefined for what is none.
  #end(runId) {
    const name = this.#nodes.get(runId);
    this.#nodes.delete(runId);
    this.#places.delete(runId);
    return name;
  }

  #tool(runId) {
    const name = this.#tools.get(runId) ?? "tool";
    this.#tools.delete(runId);
    return name;
  }
}

function parsed(input) {
  try {
    const value = JSON.parse(input);
    return value && typeof value === "object" ? value : input;
  } catch {
    return input;
  }
}
