"""The checkpointer alone, in the environment of a project."""

import json
import subprocess
from pathlib import Path
from textwrap import dedent

RUNNER = Path(__file__).parents[3] / "crewship" / "runner" / "python"

CONFORMANCE = """
    import asyncio, json
    from crewship_runner.run.saver import saver_for
    from langgraph.checkpoint.conformance import checkpointer_test, validate
    @checkpointer_test(name="crewship")
    async def made():
        yield saver_for()
    results = asyncio.run(validate(made)).results
    print(json.dumps({name: [each.passed, each.failures or []] for name, each in results.items()}))
"""


def test_the_saver_passes_langgraphs_own_tests_of_checkpointers(langgraph_python):
    asked = [langgraph_python, "-c", dedent(CONFORMANCE)]
    done = subprocess.run(asked, env={"PYTHONPATH": str(RUNNER)}, capture_output=True, text=True, check=True)
    results = json.loads(done.stdout)
    for base in ("put", "put_writes", "get_tuple", "list", "delete_thread"):
        assert results.pop(base) == [True, []]
    assert all(passed is None for passed, _ in results.values())  # what is optional is not there


VERSIONS = """
    from crewship_runner.run.saver import saver_for
    told = []
    saver = saver_for("t", lambda kind, **fields: told.append((kind, fields)))
    config = {"configurable": {"thread_id": "t", "checkpoint_ns": ""}}
    versions = {"i": 3, "f": 1.5, "s": "0002.5"}
    checkpoint = {"v": 1, "id": "a", "ts": "", "channel_values": {"i": 1, "f": 2, "s": 3}, "versions_seen": {},
                  "channel_versions": versions}
    saver.put(config, checkpoint, {"source": "loop", "step": 1}, versions)
    (kind, fields), = told
    assert fields["versions"] == {"i": "3", "f": "1.5", "s": "0002.5"}, fields
    again = saver_for("t")
    again.load({"head": "a", "checkpoints": [fields]})
    found = again.get_tuple(config)
    assert found.checkpoint == checkpoint, found
    assert again.get_tuple({"configurable": {"thread_id": "t", "checkpoint_id": "older"}}) is None
    assert saver.get_next_version(3, None).startswith("0" * 31 + "4.")
"""


def test_versions_come_back_as_the_type_they_were(langgraph_python):
    subprocess.run([langgraph_python, "-c", dedent(VERSIONS)], env={"PYTHONPATH": str(RUNNER)}, check=True)
