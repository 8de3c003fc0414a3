// The console: who is signed in, where one is, and whether what one sees is what is.
import { html, render, useState, useEffect, useRef } from "./html.js";
import { get, post, remove, onSignedOut } from "./api.js";
import { ring, silence, useConnection, useNow } from "./live.js";
import { useRoute, link } from "./route.js";
import { Dialog, Empty, Page, Problem, may, remember, whoami } from "./parts.js";
import { time } from "./format.js";
import { PAGES, SECTIONS } from "./pages.js";

const PATIENCE = 1500; // ms without a connection before anybody is told
const LEAP = 1500; // ms between the two keys of a jump

function App() {
  const [session, setSession] = useState(undefined);
  const [error, setError] = useState(null);
  const ask = () =>
    get("/v1/session").then(
      (found) => (remember(found), setError(null), setSession(found)),
      (fault) => (fault.status === 401 ? setSession(null) : setError(fault)),
    );
  useEffect(() => {
    ask();
    return onSignedOut(() => setSession(null));
  }, []);
  useEffect(() => {
    if (!session) return undefined;
    ring();
    return silence;
  }, [session]);
  useEffect(() => {
    if (!error) return undefined;
    const timer = setInterval(ask, 2000);
    return () => clearInterval(timer);
  }, [error]);
  if (session) return html`<${Shell} onSignOut=${() => remove("/v1/session").finally(() => setSession(null))} />`;
  if (session === null) return html`<${SignIn} onSignedIn=${(found) => (remember(found), setSession(found))} />`;
  return error ? html`<main class="sign-in"><${Problem} error=${error}> – trying again<//></main>` : null;
}

function SignIn({ onSignedIn }) {
  const [state, setState] = useState({});
  useEffect(() => {
    document.title = "Sign in · Crewship";
  }, []);
  const send = async (event) => {
    event.preventDefault();
    setState({ busy: true });
    try {
      onSignedIn(await post("/v1/session", { api_key: new FormData(event.target).get("api_key") }));
    } catch (error) {
      setState({ error });
    }
  };
  return html`<main class="sign-in">
    <form onSubmit=${send}>
      <h1><${Mark} /> Crewship</h1>
      <label class="field"><span>API key</span><input name="api_key" type="password" autocomplete="current-password" required autofocus /></label>
      <${Problem} error=${state.error} />
      <button type="submit" class="primary" disabled=${state.busy}>Sign in</button>
      <p class="faint">The server shows an admin key at its first start. Others: <code>crewship keys create</code>.</p>
    </form>
  </main>`;
}

const Mark = () => html`<svg class="logo" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true"><rect width="32" height="32" rx="7" fill="#12606b" /><path d="M7 19h18l-3.2 5.4a2 2 0 0 1-1.7 1H11.9a2 2 0 0 1-1.7-1z" fill="#fff" /><path d="M15 6v11H8.5z" fill="#8fd3c8" /><path d="M17 9v8h5.5z" fill="#fff" /></svg>`;

function Shell({ onSignOut }) {
  const { path, query } = useRoute();
  const [help, setHelp] = useState(false);
  const main = useRef(null);
  const section = path[0] ?? "overview";
  const where = path.join("/");
  useEffect(() => window.scrollTo(0, 0), [where]);
  useEffect(() => {
    // On a narrow screen the navigation scrolls, and shows where one is.
    const nav = document.querySelector(".top nav");
    const here = nav.querySelector("[aria-current]");
    if (here) nav.scrollLeft = here.offsetLeft - nav.offsetLeft - (nav.clientWidth - here.clientWidth) / 2;
  }, [section]);
  useKeys(() => setHelp(true));
  const sections = SECTIONS.filter(({ needs }) => !needs || may(needs));
  return html`
    <button type="button" class="skip" onClick=${() => main.current.focus()}>Skip to the page</button>
    <header class="top">
      <a class="brand" href="#/"><${Mark} /><span>Crewship</span></a>
      <nav aria-label="Sections">
        ${sections.map(({ id, title }) => html`<a href=${id === "overview" ? "#/" : link(id)} aria-current=${section === id ? "page" : undefined}>${title}</a>`)}
      </nav>
      <div class="who">
        <${Connection} />
        <span class="name" title="Signed in with this key">${whoami().name}</span>
        <button type="button" class="quiet small" onClick=${() => setHelp(true)} aria-label="Keys">?</button>
        <button type="button" class="quiet small" onClick=${onSignOut}>Sign out</button>
      </div>
    </header>
    <${Behind} />
    <main ref=${main} tabindex="-1"><${Routed} key=${where} path=${path} query=${query} /></main>
    ${help && html`<${Help} sections=${sections} onClose=${() => setHelp(false)} />`}
  `;
}

function Routed({ path, query }) {
  const [section = "overview", ...rest] = path;
  const page = PAGES[section];
  if (!page || rest.length > 1 || (rest.length && !page.one)) {
    return html`<${Page} title="Not here"><${Empty} title="There is no such page"><p><a href="#/">Overview</a></p><//><//>`;
  }
  return rest.length ? html`<${page.one} id=${rest[0]} query=${query} />` : html`<${page.all} query=${query} />`;
}

function Connection() {
  const { state } = useConnection();
  const words = { live: "Live", connecting: "Connecting", lost: "Reconnecting" }[state];
  return html`<span class="connection ${state}" role="status"><span class="dot" aria-hidden="true"></span>${words}</span>`;
}

/** Says that what is on the page may be old, and since when. */
function Behind() {
  const { state, since } = useConnection();
  const lost = state === "lost";
  const now = useNow(500, lost);
  if (!lost || now - since < PATIENCE) return null;
  return html`<p class="behind" role="alert">The connection to the server is lost. This is what was known at ${time(new Date(since).toISOString())}; it will catch up by itself.</p>`;
}

function useKeys(onHelp) {
  useEffect(() => {
    let leapt = 0;
    const pressed = (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
      if (event.key === "?") onHelp();
      else if (event.key === "/") {
        const field = document.querySelector("[data-search], main select");
        if (field) {
          event.preventDefault();
          field.focus();
        }
      } else if (event.key === "g") leapt = Date.now();
      else if (Date.now() - leapt < LEAP) {
        const to = SECTIONS.find(({ key, needs }) => key === event.key && (!needs || may(needs)));
        if (to) location.hash = to.id === "overview" ? "#/" : link(to.id);
        leapt = 0;
      }
    };
    document.addEventListener("keydown", pressed);
    return () => document.removeEventListener("keydown", pressed);
  }, []);
}

function Help({ sections, onClose }) {
  return html`<${Dialog} title="Keys" onClose=${onClose}>
    <dl class="keys">
      ${sections.map(({ key, title }) => html`<div><dt><kbd>g</kbd> <kbd>${key}</kbd></dt><dd>${title}</dd></div>`)}
      <div><dt><kbd>/</kbd></dt><dd>Search or filter</dd></div>
      <div><dt><kbd>←</kbd> <kbd>→</kbd></dt><dd>Between tabs, along the replay</dd></div>
      <div><dt><kbd>↑</kbd> <kbd>↓</kbd></dt><dd>Through events and log lines</dd></div>
      <div><dt><kbd>Esc</kbd></dt><dd>Close</dd></div>
    </dl>
  <//>`;
}

render(html`<${App} />`, document.getElementById("app"));
window.dispatchEvent(new Event("crewship-started"));
