// What was said in a thread, what is being said right now, and the box to say something.
import { html, useState, useEffect, useRef, useLayoutEffect } from "../html.js";
import { useEvents, useLive } from "../live.js";
import { post, url } from "../api.js";
import { link } from "../route.js";
import { Action, Empty, Problem, may } from "../parts.js";
import { brief, parse } from "../format.js";
import { Markdown } from "../markdown.js";
import { Tree } from "../tree.js";

const TERMINAL = ["run.completed", "run.failed", "run.canceled"];
const ended = (event) => TERMINAL.includes(event.event);

export function Conversation({ thread, chat, environment, reload }) {
  const [asked, setAsked] = useState(null); // {run_id, text}: what was said last, until the thread has it
  const running = thread.running_run_id ?? asked?.run_id ?? null;
  const messages = Array.isArray(thread.values?.messages);
  const runs = useLive(messages ? null : `/v1/runs?limit=50&thread_id=${thread.thread_id}`, [thread.thread_id]);
  const end = useRef(null);
  const turns = messages ? thread.values.messages.map(spoken) : (runs.data?.runs ?? []).slice().reverse().flatMap((run) => turned(run, chat));
  const count = turns.length;
  useLayoutEffect(() => end.current?.scrollIntoView?.({ block: "nearest" }), [count, running]);
  const done = () => {
    setAsked(null);
    reload();
    runs.reload();
  };
  const say = async (body, text) => {
    const run = await post(url`/v1/threads/${thread.thread_id}/runs`, { environment, ...body });
    setAsked({ run_id: run.run_id, text, before: count });
    reload();
  };
  const waits = thread.status === "interrupted" && !running;
  return html`<div class="conversation">
    <ol class="turns" aria-label="Conversation" aria-live="polite">
      ${!count && !running && html`<li><${Empty} title="Nothing has been said yet" /></li>`}
      ${turns.map((turn, at) => html`<${Turn} key=${at} turn=${turn} />`)}
      ${asked && running === asked.run_id && count <= asked.before && html`<${Turn} turn=${{ who: "human", content: asked.text }} />`}
      ${running && html`<${Live} key=${running} id=${running} onEnd=${done} />`}
      <li ref=${end} aria-hidden="true"></li>
    </ol>
    ${!running && thread.last_run && !thread.last_run.succeeded && html`<p class="problem">The last run left nothing good: <a href=${link("runs", thread.last_run.run_id)}>see why</a>. The thread is as it was before it.</p>`}
    ${waits && html`<${Questions} interrupts=${thread.interrupts ?? []} say=${say} />`}
    ${may("run") && !waits && !thread.erased && html`<${Box} chat=${chat} busy=${Boolean(running)} running=${running} say=${say} />`}
  </div>`;
}

function spoken(message) {
  const who = { user: "human", assistant: "ai" }[message.role] ?? message.role ?? message.type ?? "ai";
  return { who, content: message.content, name: message.name, calls: message.tool_calls };
}

function turned(run, chat) {
  const said = chat?.input_key ? run.input?.[chat.input_key] : run.input;
  const answer = chat?.output_key ? run.output?.[chat.output_key] : run.output;
  return [{ who: "human", content: said, run: run.id }, ...(answer === null || answer === undefined ? [] : [{ who: "ai", content: answer, run: run.id }])];
}

const NAMES = { human: "You", ai: "Agent", system: "System", tool: "Tool" };

function Turn({ turn }) {
  const { who, content, name, calls } = turn;
  if (who === "tool") {
    return html`<li class="turn tool"><details><summary><span class="who">${name ?? "tool"}</span> ${brief(content, 100)}</summary><${Content} content=${content} /></details></li>`;
  }
  return html`<li class="turn ${who}">
    <span class="who">${NAMES[who] ?? who}${name && who !== "human" ? ` · ${name}` : ""}</span>
    <${Content} content=${content} markdown=${who !== "human"} />
    ${calls?.map((call) => html`<span class="chip">${call.name ?? call.function?.name}(${brief(call.args ?? call.function?.arguments ?? "", 60)})</span>`)}
  </li>`;
}

function Content({ content, markdown = false }) {
  const text = typeof content === "string" ? content : Array.isArray(content) ? content.map((part) => (typeof part === "string" ? part : (part.text ?? ""))).join("") : null;
  if (text === "") return null;
  if (text === null) return html`<${Tree} value=${content} />`;
  return markdown ? html`<${Markdown} text=${text} />` : html`<p class="text">${text}</p>`;
}

/** A turn while it is being made: tools as they are called, tokens as they come. */
function Live({ id, onEnd }) {
  const { events, state } = useEvents(url`/v1/runs/${id}/events`, ended);
  const last = events.at(-1);
  const over = last && TERMINAL.includes(last.type);
  useEffect(() => {
    if (over) onEnd();
  }, [over]);
  const text = events.filter((event) => event.type === "token").map((event) => event.payload.text).join("");
  const tools = events.filter((event) => event.type === "tool.called").slice(-6);
  const agent = events.findLast?.((event) => event.type === "agent.started")?.payload.agent;
  return html`<li class="turn ai growing" aria-busy="true">
    <span class="who">${agent ?? "Agent"} <a class="faint" href=${link("runs", id)}>run</a></span>
    ${tools.map((event) => html`<span class="chip">${event.payload.tool}(${brief(event.payload.input ?? "", 60)})</span>`)}
    ${text ? html`<${Markdown} text=${text} />` : html`<p class="faint">${state === "lost" ? "Reconnecting…" : last?.type === "run.created" || !last ? "Waiting…" : "Working…"}</p>`}
  </li>`;
}

function Questions({ interrupts, say }) {
  const [texts, setTexts] = useState({});
  const several = interrupts.length > 1;
  const answer = async (event) => {
    event?.preventDefault();
    const valued = interrupts.map(({ id }) => [id, meant(texts[id] ?? "")]);
    await say({ resume: several ? Object.fromEntries(valued) : (valued[0]?.[1] ?? null) }, Object.values(texts).join("\n"));
  };
  return html`<section class="questions" aria-label="It asks">
    ${interrupts.map(
      ({ id, value }) => html`<div key=${id} class="question">
        <strong>It asks</strong>${typeof value === "string" ? html`<${Markdown} text=${value} />` : html`<${Tree} value=${value} />`}
        ${may("run") && html`<label class="field"><span>Answer</span><textarea rows="2" value=${texts[id] ?? ""} onInput=${(event) => setTexts({ ...texts, [id]: event.target.value })}></textarea><small>Text, or JSON such as true or {"approved": true}.</small></label>`}
      </div>`,
    )}
    ${may("run") && html`<${Action} kind="primary" run=${answer}>Answer<//>`}
  </section>`;
}

/** JSON where it is JSON, else the words. */
function meant(text) {
  const { value, problem } = parse(text.trim());
  return problem ? text : value;
}

function Box({ chat, busy, running, say }) {
  const [text, setText] = useState("");
  const [error, setError] = useState(null);
  const send = async (event) => {
    event.preventDefault();
    if (!text.trim() || busy) return;
    setError(null);
    const said = text;
    const input = chat?.input_key ? { [chat.input_key]: said } : { messages: [{ role: "user", content: said }] };
    setText("");
    try {
      await say({ input }, said);
    } catch (fault) {
      setError(fault);
      setText(said);
    }
  };
  const key = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send(event);
  };
  return html`<form class="box" onSubmit=${send}>
    <${Problem} error=${error} />
    <label class="field grows"><span class="hidden">Message</span><textarea rows="2" value=${text} placeholder="Say something. Enter sends, Shift+Enter begins a line." onInput=${(event) => setText(event.target.value)} onKeyDown=${key}></textarea></label>
    ${busy && running ? html`<${Action} run=${() => post(url`/v1/runs/${running}/cancel`)}>Stop<//>` : html`<button type="submit" class="primary" disabled=${!text.trim()}>Send</button>`}
  </form>`;
}
