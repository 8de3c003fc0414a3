import { readFileSync } from "node:fs";

import { tool } from "@langchain/core/tools";
import { z } from "zod";

const notes: string[] = JSON.parse(readFileSync(new URL("./notes.json", import.meta.url), "utf8"));

export const webSearch = tool(async ({ query }: { query: string }) => [`about ${query}`, ...notes].join(", "), {
  name: "web_search",
  description: "Search the web.",
  schema: z.object({ query: z.string() }),
});
