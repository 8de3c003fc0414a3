"""Images for a Node, made from a base that has no Python, as the official ones."""

import pytest

from crewship.engine import docker_state
from crewship.engine.executor import BuildFailed
from crewship.engine.node_images import chosen
from tests.conformance.executor import hear, launch_of, order_of
from tests.docker import node_base, opened
from tests.e2e.test_node import PROJECT as WRITER

GRAPH = """
import { existsSync, readFileSync } from "node:fs";
import { Annotation, StateGraph } from "@langchain/langgraph";
import { word } from "./lib/word";

const State = Annotation.Root({ code: Annotation<string>(), seen: Annotation<unknown>() });
async function look() {
  console.log(word, process.cwd());
  return { seen: [existsSync("/usr/bin/python3"), readFileSync("/proc/1/comm", "utf8")] };
}
export const graph = new StateGraph(State).addNode("look", look).addEdge("__start__", "look").compile();
"""
PROJECT = {
    "package.json": (WRITER / "package.json").read_text().replace('"@langchain/openai": "^1.0.0",', ""),
    "src/graph.ts": GRAPH,
    "src/lib/word.ts": 'export const word: string = "compiled";',
}


def test_the_operators_base_images_come_first_then_official_ones():
    images = {("slim", "20"): "ours:20", ("browser", "22"): "browsers"}
    assert chosen(None, None, "slim", images) == "ours:20"
    assert chosen(None, ">=22", "slim", images) == "node:22-slim"
    assert chosen("24", ">=22", "slim", images) == "node:24-slim"
    assert chosen("26", None, "slim", {}) == "node:26-slim"
    assert chosen(None, ">=99", "slim", {}) == "node:22-slim"
    assert chosen(None, "22", "browser", images) == "browsers"
    with pytest.raises(BuildFailed, match="CREWSHIP_BASE_IMAGE_BROWSER_NODE_24"):
        chosen("24", None, "browser", images)


@pytest.mark.long
async def test_a_typescript_project_runs_in_a_container_whose_base_has_no_python(tmp_path):
    images = {("slim", "20"): node_base()}
    async with opened(tmp_path / "data", "srv_node", node_images=images) as server:
        asked = {"framework": "langgraph-js", "entrypoint": "./src/graph.ts:graph", "node": "20"}
        order = order_of(PROJECT, tmp_path, **asked)
        await server.build(order)
        told = await hear(await server.executor.launch(launch_of(order, "")))
        assert "compiled /app" in told.logs
        (result,) = told.of("result")
        # The guard is the first process; what starts it is the loader that was brought along.
        assert result["output"]["seen"] == [False, "ld-linux-x86-64\n"]
        changed = order_of({**PROJECT, "src/lib/word.ts": 'export const word = "again";'}, tmp_path, **asked)
        assert "Dependencies unchanged, reused" in await server.build(changed)
        server.builder.bases.runner = "of the next release"
        image = await server.builder.find(changed)
        assert image.labels[docker_state.RUNNER] == "of the next release"
        told = await hear(await server.executor.launch(launch_of(changed, "", run_id="run_2")))
        assert "again /app" in told.logs
        await server.builder.prune(set(), young=0)
