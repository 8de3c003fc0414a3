"""The checkpointer of a Node's runner alone, under LangGraph.js' own tests of checkpointers."""

import os
import subprocess

import pytest

from tests.crewship.runner.node import HOST, TODAY, packages

VALIDATION = {"@langchain/langgraph-checkpoint": "^1.2.2", "@langchain/langgraph-checkpoint-validation": "^1.1.1"}
SUITE = f"""
import * as library from "@langchain/langgraph";
import {{ validate }} from "@langchain/langgraph-checkpoint-validation";
import {{ saverFor }} from "{HOST.parent}/run/saver.mjs";
validate({{ checkpointerName: "crewship", createCheckpointer: () => saverFor(library) }});
"""


@pytest.mark.long
def test_the_saver_passes_langgraphs_own_tests_of_checkpointers():
    place = packages("validation", TODAY | VALIDATION)
    (place / "saver.test.mjs").write_text(SUITE)
    command = ["npx", "vitest", "run", "--globals", "saver.test.mjs"]
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-5000:]
    assert "failed" not in done.stdout
