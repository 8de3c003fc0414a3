// How to call a deployment, filled in.
import { html, useState } from "../html.js";
import { Copy } from "../parts.js";

export function HowToCall({ deployment }) {
  const [language, setLanguage] = useState("curl");
  const text = EXAMPLES[language](location.origin, deployment.name);
  return html`<p class="faint">With an API key of scope <code>run</code> in <code>CREWSHIP_API_KEY</code>. The stream picks up where it was cut when it gets <code>Last-Event-ID</code>.</p>
    <div class="chips" role="group" aria-label="Language">
      ${Object.keys(EXAMPLES).map((one) => html`<button type="button" class="chip" aria-pressed=${one === language ? "true" : "false"} onClick=${() => setLanguage(one)}>${one}</button>`)}
    </div>
    <div class="example"><div class="corner"><${Copy} text=${text} label="Copy the example" /></div><pre tabindex="0">${text}</pre></div>`;
}

const EXAMPLES = {
  curl: (origin, name) => `curl -s -X POST ${origin}/v1/runs \\
  -H "Authorization: Bearer $CREWSHIP_API_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{"deployment_id": "${name}", "input": {}}'

# with the run_id of the answer:
curl -N -H "Authorization: Bearer $CREWSHIP_API_KEY" ${origin}/v1/runs/$RUN_ID/events`,
  Python: (origin, name) => `import os
import httpx

headers = {"Authorization": f"Bearer {os.environ['CREWSHIP_API_KEY']}"}
with httpx.Client(base_url="${origin}", headers=headers, timeout=90) as client:
    run = client.post("/v1/runs", json={"deployment_id": "${name}", "input": {}}).raise_for_status().json()
    done = client.get(f"/v1/runs/{run['run_id']}/wait?timeout=60").raise_for_status().json()
    print(done["status"], done["output"])`,
  JavaScript: (origin, name) => `const headers = {
  Authorization: \`Bearer \${process.env.CREWSHIP_API_KEY}\`,
  "Content-Type": "application/json",
};
const started = await fetch("${origin}/v1/runs", {
  method: "POST",
  headers,
  body: JSON.stringify({ deployment_id: "${name}", input: {} }),
});
const { run_id } = await started.json();
const done = await fetch(\`${origin}/v1/runs/\${run_id}/wait?timeout=60\`, { headers });
console.log(await done.json());`,
  "command line": (origin, name) => `crewship login --url ${origin}
crewship invoke ${name} --input '{}' --stream`,
};
