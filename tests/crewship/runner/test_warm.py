"""A sandbox that is warm: everything imported before there is a run, nothing of the run before it is called."""

import pytest

from crewship.engine.protocol import Exit, Failure, Log, Ready, Result, Warm
from tests.crewship.runner.talk import STATE

GRAPH = (
    STATE
    + """
    print("importing with", os.environ["GIVEN"], os.environ.get("CREWSHIP_RUN_ID"))
    def node(state):
        return {"x": [os.environ["CREWSHIP_RUN_ID"], os.environ["GIVEN"], state["x"]]}
    graph = chain(("node", node)).compile()
"""
)


@pytest.fixture
def warm(guarded, langgraph_python):
    """A guard whose child has imported the graph above and waits."""
    guarded.write(graph=GRAPH)
    guarded.start(guarded.spec(run_id="", env={"GIVEN": "yes"}), python=langgraph_python, warm=True)
    guarded.until(lambda: guarded.messages(Warm))
    return guarded


def test_a_warm_run_has_imported_everything_before_it_is_called(warm):
    assert warm.messages() == [Warm()]
    big = "x" * (2 << 20)
    warm.call(run_id="run_7", input={"x": big}, env={"CREWSHIP_RUN_ID": "run_7"})
    assert warm.end() == Exit(code=0)
    kinds = [type(message) for message in warm.messages()[:3]]
    assert kinds == [Warm, Ready, Log]
    assert warm.messages()[2].message == "importing with yes None"
    assert Log("info", "Starting crew execution") in warm.messages()
    assert warm.messages(Result)[0].output["x"] == ["run_7", "yes", big]


def test_a_warm_sandbox_that_no_run_needs_ends_by_itself(warm):
    warm.write_spec(b"")
    assert warm.end().reason == "stopped"
    assert warm.messages(Ready) == []


def test_a_call_that_broke_off_begins_no_run(warm):
    warm.write_spec(b'{"run_id": "run_1", "input": {"x"')
    assert warm.end() == Exit(signal=9, reason="start_failed", message="the spec is not JSON")
    assert warm.messages(Ready) == []


def test_an_import_that_fails_is_told_before_anybody_calls(guarded, langgraph_python):
    guarded.write(graph='print("on the way")\nraise RuntimeError("broken")\n')
    guarded.start(guarded.spec(run_id=""), python=langgraph_python, warm=True)
    assert guarded.end() == Exit(code=1)
    assert guarded.messages(Warm, Ready) == []
    assert guarded.messages(Failure)[0].error == "RuntimeError: broken"
    assert guarded.logs() == ["on the way"]


def test_the_time_limit_counts_from_the_call(guarded, langgraph_python):
    guarded.write(graph=GRAPH.replace("return {", "time.sleep(30); return {"))
    limits = {"timeout": 0.2, "grace": 5}
    guarded.start(guarded.spec(run_id="", env={"GIVEN": ""}, limits=limits), python=langgraph_python, warm=True)
    guarded.until(lambda: guarded.messages(Warm))  # the import alone takes longer than the limit
    guarded.call(input={"x": 1}, env={"CREWSHIP_RUN_ID": "r"})
    assert guarded.end().reason == "timeout"


def test_a_waiting_sandbox_stops_when_it_is_told_to(warm):
    warm.tell("stop")
    assert warm.end().reason == "stopped"


def test_what_is_said_before_the_call_is_bounded(guarded):
    guarded_code = """
        for _ in range(40):
            report("log", level="info", message="x" * 60_000, stream="stdout")
        report("warm")
        go = int(sys.argv[sys.argv.index("--go") + 1])
        os.read(go, 1)
        report("result", output=None)
    """
    guarded.child_code(guarded_code, warm=True)
    guarded.until(lambda: guarded.messages(Warm))
    guarded.call()
    ended = guarded.end()
    assert ended.code == 0
    assert 10 < ended.lost_logs < 40
    assert ended.lost_logs + len(guarded.logs()) == 40
