// TypeScript, and what else Node does not read by itself, as one file that it does.

import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const SOURCES = /\.[cm]?[jt]sx?$/;
const PLACES = /\bimport\.meta\b|\b__(dir|file)name\b/; // what asks where it lies

// A file of the project is told where it would lie in the run, not where the bundle lies. The bundle is one folder below.
const ROOTS = {
  esm: [
    'import { createRequire as __crewshipRequire } from "node:module";',
    'import { fileURLToPath as __crewshipPath } from "node:url";',
    "const require = __crewshipRequire(import.meta.url);",
    'const __crewshipRoot = __crewshipPath(new URL("..", import.meta.url));',
  ].join(" "),
  cjs: 'const __crewshipRoot = require("node:path").dirname(__dirname) + "/";',
};

/**
 * Bundle the project's own files from `entrypoint` on to `out`/entrypoint.mjs or .cjs, with a source map; packages stay
 * outside. The form is the one that Node itself would take the entrypoint for, except that CommonJS cannot wait at its
 * top. tsconfig.json counts, with its paths. `tools` is where esbuild is installed.
 */
export async function compile(source, entrypoint, tools, out) {
  const [place, name] = entrypoint.split(/:(?=[^:]*$)/);
  const esbuild = createRequire(path.join(tools, "package.json"))("esbuild");
  for (const format of isModule(source, place) ? ["esm"] : ["cjs", "esm"]) {
    const result = await esbuild.build(options(source, place, format, out)).catch((failure) => failure);
    const errors = result.errors ?? [];
    if (!errors.length && !result.metafile) throw result;
    if (errors.length && format === "cjs" && errors.every(({ text }) => /top-level await/i.test(text))) continue;
    for (const warning of result.warnings ?? []) console.log(`warning: ${said(warning)}`);
    if (errors.length) throw new Error(errors.map(said).join("; "));
    const made = Object.values(result.metafile.outputs).find((output) => output.entryPoint);
    if (format === "esm" && made && !made.exports.includes(name)) {
      console.log(`warning: entrypoint "${entrypoint}": no export ${name} to be seen in ${path.basename(place)}`);
    }
    return;
  }
}

function options(source, place, format, out) {
  return {
    absWorkingDir: source,
    entryPoints: [place],
    outfile: path.join(out, format === "esm" ? "entrypoint.mjs" : "entrypoint.cjs"),
    bundle: true,
    packages: "external",
    platform: "node",
    target: `node${process.versions.node}`,
    format,
    sourcemap: true,
    sourcesContent: false,
    keepNames: true,
    metafile: true,
    logLevel: "silent",
    banner: { js: ROOTS[format] },
    define: {
      "import.meta.url": "__crewshipUrl",
      "import.meta.filename": "__crewshipFile",
      "import.meta.dirname": "__crewshipFolder",
      __filename: "__crewshipFile",
      __dirname: "__crewshipFolder",
    },
    plugins: [{ name: "places", setup: (build) => build.onLoad({ filter: SOURCES }, (file) => placed(source, file.path)) }],
  };
}

function placed(source, file) {
  const contents = fs.readFileSync(file, "utf8");
  if (!PLACES.test(contents)) return undefined;
  const inside = path.relative(fs.realpathSync(source), file);
  const told = [
    `const __crewshipFile = __crewshipRoot + ${JSON.stringify(inside)}`,
    `__crewshipFolder = (__crewshipRoot + ${JSON.stringify(path.dirname(inside))}).replace(/\\/\\.?$/, "")`,
    '__crewshipUrl = "file://" + encodeURI(__crewshipFile).replace(/[?#]/g, encodeURIComponent);',
  ];
  const loader = path.extname(file).replace(/^\.[cm]?/, "");
  return { contents: told.join(", ") + contents, loader };
}

function isModule(source, place) {
  if (/\.[cm][jt]s$/.test(place)) return /\.m[jt]s$/.test(place);
  for (let folder = path.dirname(path.resolve(source, place)); folder.startsWith(source); folder = path.dirname(folder)) {
    const manifest = path.join(folder, "package.json");
    if (fs.existsSync(manifest)) return JSON.parse(fs.readFileSync(manifest, "utf8")).type === "module";
  }
  return false;
}

function said({ text, location }) {
  return location ? `${location.file}:${location.line}: ${text}` : text;
}
