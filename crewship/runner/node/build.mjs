// What a build does in a Node: `node build.mjs settle SOURCE APP TARGET`, `node build.mjs compile SOURCE ENTRYPOINT TOOLS OUT`.

import { settle } from "./build/settle.mjs";
import { compile } from "./build/compile.mjs";

const [step, ...given] = process.argv.slice(2);
try {
  await { settle, compile }[step](...given);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
