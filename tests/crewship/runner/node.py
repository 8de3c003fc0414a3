"""A Node's project for tests of its runner: packages installed once, and graphs that run with them."""

import fcntl
import json
import subprocess
from pathlib import Path
from textwrap import dedent
from typing import Any

from tests.crewship.runner.conftest import CACHE, RUNNER, Guarded

HOST = RUNNER.parent / "node" / "run.mjs"
TODAY = {
    "@langchain/langgraph": "^1.7.3",
    "@langchain/core": "^1.3.4",
    "@langchain/openai": "^1.0.0",
    "zod": "^3.25.32",
}
OLD = {"@langchain/langgraph": "0.2.20", "@langchain/core": ">=0.3.9 <0.4.0", "zod": "^3.23.8"}

IMPORTS = """
import { Annotation, END, MemorySaver, MessagesAnnotation, START, StateGraph } from "@langchain/langgraph";
import * as library from "@langchain/langgraph";
const { Command, interrupt } = library;
const State = Annotation.Root({
  x: Annotation(),
  seen: Annotation({ reducer: (before, more) => before.concat(more), default: () => [] }),
});
function chain(nodes, state = State) {
  const graph = new StateGraph(state);
  const names = [START, ...Object.keys(nodes), END];
  for (const [name, node] of Object.entries(nodes)) graph.addNode(name, node);
  for (let at = 1; at < names.length; at++) graph.addEdge(names[at - 1], names[at]);
  return graph;
}
"""


def packages(name: str, dependencies: dict[str, str]) -> Path:
    """A folder whose node_modules holds these; made once, and kept outside of what git sees."""
    place = CACHE / f"node-{name}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f"node-{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = json.dumps({"type": "module", "private": True, "dependencies": dependencies})
        if not (place / "ready").exists() or (place / "ready").read_text() != wanted:
            place.mkdir(exist_ok=True)
            (place / "package.json").write_text(wanted)
            install = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--legacy-peer-deps"]
            subprocess.run(install, cwd=place, check=True, capture_output=True, timeout=300)
            (place / "ready").write_text(wanted)
    return place


class Project:
    """Writes a graph into a guard's project and starts it in a Node."""

    def __init__(self, packages: Path) -> None:
        self.packages = packages

    def start(
        self, guard: Guarded, code: str, entrypoint: str = "./graph.mjs:graph", *, warm: bool = False, **changes: Any
    ) -> None:
        """Start the guard with a graph whose module begins with IMPORTS."""
        (guard.app / "package.json").write_text('{"type": "module"}')
        (guard.app / "graph.mjs").write_text(IMPORTS + dedent(code))
        if not (guard.app / "node_modules").exists():
            (guard.app / "node_modules").symlink_to(self.packages / "node_modules")
        spec = guard.spec(**{"framework": "langgraph-js", "entrypoint": entrypoint, **changes})
        guard.start(spec, runner=HOST, python="node", warm=warm)
