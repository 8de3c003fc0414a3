// Makes a project's node_modules fit to be looked at from another place than the one where npm made it.

import fs from "node:fs";
import path from "node:path";

const FRAMEWORK = "@langchain/langgraph";

/**
 * Check that the framework is among what was installed below `source`, lead links to packages of the project itself
 * (workspaces, `file:`) to where they lie in a run (`app`), and move the folder to `target` where one is named.
 */
export function settle(source, app, target) {
  const modules = path.join(source, "node_modules");
  if (!fs.existsSync(path.join(modules, FRAMEWORK, "package.json"))) {
    throw new Error(`${FRAMEWORK} is not among the dependencies: add it to package.json`);
  }
  for (const link of links(modules)) {
    const inside = path.relative(source, path.resolve(path.dirname(link), fs.readlinkSync(link)));
    if (!inside.startsWith("..") && !inside.startsWith(`node_modules${path.sep}`)) {
      fs.unlinkSync(link);
      fs.symlinkSync(path.join(app, inside), link);
    }
  }
  if (target) fs.cpSync(modules, target, { recursive: true, verbatimSymlinks: true });
}

// Those of packages: directly below, or below a scope.
function* links(modules) {
  for (const entry of fs.readdirSync(modules, { withFileTypes: true })) {
    const place = path.join(modules, entry.name);
    if (entry.isSymbolicLink()) yield place;
    else if (entry.name.startsWith("@")) yield* links(place);
  }
}
