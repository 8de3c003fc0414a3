"""Building for a Node, on this machine: real builds with npm, of packages that the projects bring along."""

import json
import os

import pytest

from crewship.engine.environments import LocalBuilder
from crewship.engine.executor import BuildFailed
from tests.conformance.executor import order_of

# The framework by its name alone, so that no registry is asked for it; esbuild is.
FRAMEWORK = json.dumps({"name": "@langchain/langgraph", "version": "1.0.0", "main": "index.js"})
PACKAGE = {
    "package.json": json.dumps({"dependencies": {"@langchain/langgraph": "file:./fake"}}),
    "fake/package.json": FRAMEWORK,
    "fake/index.js": "exports.word = 'found';",
    "node_modules/stale/index.js": "",
    "src/graph.ts": 'import { word } from "@langchain/langgraph";\nexport const graph: string = word;\n',
}


def js(files, folder, entrypoint="./src/graph.ts:graph", **other):
    return order_of(files, folder, framework="langgraph-js", entrypoint=entrypoint, **other)


async def build(builder, order):
    return [line async for line in builder.build(order)]


async def test_packages_of_the_project_itself_and_typescript_are_built(tmp_path):
    builder = LocalBuilder(tmp_path / "data")
    order = js(PACKAGE, tmp_path)
    said = await build(builder, order)
    assert said[0].startswith("Node ")
    assert said[1] == "Installing dependencies (package.json)"
    program = builder.find(order)
    # A link to a package of the project's leads to where it lies in a run.
    assert os.readlink(program.modules / "@langchain" / "langgraph") == "/app/fake"
    assert not (program.modules / "stale").exists()
    assert 'require("@langchain/langgraph")' in (program.compiled / "entrypoint.cjs").read_text()
    assert await build(builder, order) == ["Built already, nothing to do"]
    wrong = js({**PACKAGE, "src/graph.ts": "export const graph: = 1"}, tmp_path)
    with pytest.raises(BuildFailed, match=r"src/graph\.ts:1: Unexpected"):
        await build(builder, wrong)
    with pytest.raises(BuildFailed, match=r"no file src/other\.ts in the project"):
        await build(builder, js({**PACKAGE, "x": ""}, tmp_path, "./src/other.ts:graph"))
    assert not list((tmp_path / "data" / "builds").glob("*"))


async def test_a_node_modules_that_a_script_made_a_link_is_refused(tmp_path):
    place = "/cache/n/@langchain/langgraph"
    copied = f"mkdir -p {place} && cp fake/package.json {place}"
    script = f"{copied} && rm -r node_modules && ln -s /cache/n node_modules"
    package = json.loads(PACKAGE["package.json"]) | {"scripts": {"postinstall": script}}
    order = js({**PACKAGE, "package.json": json.dumps(package)}, tmp_path)
    with pytest.raises(BuildFailed, match="node_modules is a link"):
        await build(LocalBuilder(tmp_path / "data"), order)


async def test_a_node_that_is_not_there_is_named_with_those_that_are(tmp_path):
    with pytest.raises(BuildFailed, match=r"Node 99 is not on the server \(there: \d"):
        await build(LocalBuilder(tmp_path / "data"), js(PACKAGE, tmp_path, node="99"))
