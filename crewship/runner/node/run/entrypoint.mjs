// Finds what a project's entrypoint names, `./path/file.ts:export`, and the packages that it has installed.

import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { Problem } from "./ending.mjs";

const COMPILED = [".crewship/entrypoint.mjs", ".crewship/entrypoint.cjs"]; // what the build makes of TypeScript

/** Import the module and give back what the entrypoint names in it. Throws Problem, or what the module itself throws. */
export async function load(entrypoint, app) {
  const colon = entrypoint.lastIndexOf(":");
  const [place, name] = [entrypoint.slice(0, colon), entrypoint.slice(colon + 1)];
  if (colon < 1 || !name) throw new Problem(`entrypoint ${JSON.stringify(entrypoint)} must be ./path/file.ts:export`);
  const module = await import(pathToFileURL(file(place, app)));
  const found = [module, module.default].find((each) => each != null && Object(each) === each && name in each);
  if (found === undefined) {
    const names = Object.keys(module).filter((each) => each !== "module.exports");
    const there = names.length ? `it exports ${names.join(", ")}` : "it exports nothing";
    throw new Problem(`entrypoint: ${JSON.stringify(place)} has no export ${JSON.stringify(name)}; ${there}`);
  }
  return found[name];
}

function file(place, app) {
  const [root, source] = [fs.realpathSync(app), path.resolve(app, place)];
  const compiled = COMPILED.map((name) => path.join(root, name)).find((name) => fs.existsSync(name));
  if (compiled && !/\.[cm]?js$/.test(place)) return compiled;
  if (!fs.existsSync(source)) throw new Problem(`entrypoint: there is no file ${JSON.stringify(place)} in the project`);
  const real = fs.realpathSync(source);
  if (!real.startsWith(root + path.sep)) {
    throw new Problem(`entrypoint: ${JSON.stringify(place)} lies outside of the project`);
  }
  return real;
}

/**
 * A package of the project, in the form (CommonJS or ES module) that the entrypoint's own imports get: a second copy of
 * a framework costs its start again.
 */
export async function packageOf(name, entrypoint, app) {
  const require = createRequire(path.join(fs.realpathSync(app), "package.json"));
  const manifest = manifestOf(name, require);
  const main = isCommonJs(entrypoint, app) ? null : importable(manifest?.content.exports?.["."]);
  if (main) return import(pathToFileURL(path.join(path.dirname(manifest.file), main)));
  return require(name);
}

function manifestOf(name, require) {
  for (const folder of require.resolve.paths(name) ?? []) {
    const file = path.join(folder, name, "package.json");
    if (fs.existsSync(file)) return { file: fs.realpathSync(file), content: JSON.parse(fs.readFileSync(file, "utf8")) };
  }
  return null;
}

// The file that a target of `exports` names for an import; null where it names none.
function importable(target) {
  if (typeof target === "string") return target;
  if (!target || typeof target !== "object") return null;
  for (const condition of Object.keys(target)) {
    if (["node", "import", "default"].includes(condition)) {
      const found = importable(target[condition]);
      if (found) return found;
    }
  }
  return null;
}

function isCommonJs(entrypoint, app) {
  const place = file(entrypoint.slice(0, entrypoint.lastIndexOf(":")), app);
  if (/\.[cm]js$/.test(place)) return place.endsWith(".cjs");
  try {
    return JSON.parse(fs.readFileSync(path.join(app, "package.json"), "utf8")).type !== "module";
  } catch {
    return true;
  }
}
