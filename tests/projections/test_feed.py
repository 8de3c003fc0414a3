"""What a client sees of the log."""

from datetime import UTC, datetime

from domain.catalog import BY_TAG
from domain.event import Mark, Recorded
from domain.output import AgentFailed, LogWritten, OutputAdopted, Stored, TokensGenerated, ToolReturned
from domain.run import RunClaimed, RunFailed, RunSucceeded
from projections.feed import event_id, publish

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
EARLIER = datetime(2026, 1, 2, 3, 4, 0, tzinfo=UTC)
INTERNAL = {"run.claimed", "run.cancel_requested", "output.adopted"}


def recorded(event, **more) -> Recorded:
    return Recorded(position=7, stream="run_1", version=1, at=AT, by="server:s", event=event, **more)


def test_an_id_has_at_least_three_digits():
    assert (event_id(7), event_id(12345)) == ("evt_007", "evt_12345")


def test_the_public_name_and_fields_of_an_event():
    shown = publish(recorded(AgentFailed(agent="a", error="E")))
    assert shown is not None
    assert (shown.type, shown.payload) == ("agent.error", {"agent": "a", "error": "E"})
    assert shown.body() == {
        "type": "agent.error",
        "timestamp": "2026-01-02T03:04:05.678Z",
        "agent": "a",
        "error": "E",
        "payload": {"agent": "a", "error": "E"},
    }


def test_the_time_is_when_it_happened_not_when_it_was_recorded():
    shown = publish(recorded(LogWritten(level="info", message="x"), mark=Mark(happened_at=EARLIER)))
    assert shown is not None
    assert shown.timestamp == shown.payload["timestamp"] == "2026-01-02T03:04:00.000Z"


def test_what_only_the_server_cares_about_is_not_shown():
    assert publish(recorded(RunClaimed(run_id="r", server_id="s", epoch=1))) is None
    assert publish(recorded(OutputAdopted(server_id="s", epoch=1))) is None


def test_a_value_beside_the_log_is_shown_by_its_beginning():
    stored = Stored(sha256="ab", size=300_000, preview="xx")
    cut = {"$truncated": {"sha256": "ab", "size": 300_000, "preview": "xx"}}
    returned = publish(recorded(ToolReturned(tool="t", stored=stored)))
    completed = publish(recorded(RunSucceeded(run_id="r", duration_ms=1, stored_result=stored)))
    assert returned is not None
    assert completed is not None
    assert (returned.payload["output"], completed.payload["result"]) == (cut, cut)


def test_only_the_ends_are_terminal():
    failed = publish(recorded(RunFailed(run_id="r", reason="error", error="E")))
    token = publish(recorded(TokensGenerated(agent="a", text="t")))
    assert failed is not None
    assert token is not None
    assert (failed.terminal, token.terminal) == (True, False)


def test_erased_events_say_so():
    shown = publish(recorded(LogWritten(level="info"), erased=True))
    assert shown is not None
    assert (shown.payload["message"], shown.payload["erased"]) == (None, True)


def test_every_event_of_a_run_or_a_build_is_shown_or_known_to_be_internal():
    streamed = {
        tag for tag in BY_TAG if tag.split(".")[0] in ("run", "output", "log", "agent", "tool", "token", "artifact")
    }
    public = {"token.generated", "log.written", "artifact.collected"} | {t for t in streamed if t not in INTERNAL}
    assert streamed == public | INTERNAL
