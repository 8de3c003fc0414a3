// Deployments: what there is, and what is live of it.
import { html, useState } from "../html.js";
import { useLive } from "../live.js";
import { post, query } from "../api.js";
import { go, link } from "../route.js";
import { Dialog, Empty, Field, Form, Loaded, Page, Pager, Time, may } from "../parts.js";

const LIMIT = 50;

export function Deployments({ query: asked }) {
  const offset = Number(asked.offset) || 0;
  const live = useLive(query("/v1/deployments", { limit: LIMIT, offset }), ["dep_"]);
  const [making, setMaking] = useState(false);
  return html`<${Page} title="Deployments" actions=${may("deploy") && html`<button type="button" onClick=${() => setMaking(true)}>New deployment</button>`}>
    <${Loaded} live=${live}>
      ${({ deployments }) =>
        deployments.length || offset
          ? html`<div class="scrolls" tabindex="0" role="region" aria-label="Deployments"><table class="list stacks">
                <thead><tr><th>Name</th><th>Framework</th><th>Production</th><th>Staging</th><th>Updated</th></tr></thead>
                <tbody>${deployments.map((one) => html`<tr key=${one.id}>
                  <td><a class="row-link" href=${link("deployments", one.name)}>${one.name}</a></td>
                  <td>${one.framework ?? html`<span class="faint">no version yet</span>`}</td>
                  <td data-label="production"><${Live} pointer=${one.environments.production} /></td>
                  <td data-label="staging"><${Live} pointer=${one.environments.staging} /></td>
                  <td><${Time} at=${one.updated_at} /></td>
                </tr>`)}</tbody>
              </table></div>
              <${Pager} count=${deployments.length} limit=${LIMIT} offset=${offset} />`
          : html`<${Empty} title="Nothing is deployed yet"><p>In a project of yours:</p><pre tabindex="0">crewship init
crewship deploy</pre><//>`}
    <//>
    ${making && html`<${NewDeployment} onClose=${() => setMaking(false)} />`}
  <//>`;
}

const Live = ({ pointer }) => (pointer ? html`<span class="version">v${pointer.version_number}</span>` : html`<span class="faint">–</span>`);

function NewDeployment({ onClose }) {
  const make = async ({ name }) => {
    await post("/v1/deployments", { name });
    go("deployments", name);
  };
  return html`<${Dialog} title="New deployment" onClose=${onClose}>
    <${Form} submit="Create" onSubmit=${make} onCancel=${onClose}>
      <${Field} label="Name" hint="A home for variables before the first crewship deploy."><input name="name" required autocomplete="off" /><//>
    <//>
  <//>`;
}
