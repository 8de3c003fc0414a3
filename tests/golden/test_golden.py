"""Logs that earlier states of Crewship have written are read by today's code, and mean what they meant."""

import base64
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from crewship.eventlog import open_log
from crewship.eventlog.sqlite import open_sqlite
from crewship.secrets import SqliteKeyStore, installation_key, seal
from domain.catalog import BY_TAG
from tests.golden.record import everything, meaning, plain

GOLDEN = sorted(path.parent for path in Path(__file__).parent.glob("*/log.jsonl"))


def rows(golden: Path) -> list[list]:
    return [msgspec.json.decode(line) for line in (golden / "log.jsonl").read_bytes().splitlines()]


def lay(golden: Path, folder: Path) -> bytes:
    """Put a golden log into a data folder as it was written; returns the installation's key."""
    installation = installation_key(folder / "installation.key")
    recorder = open_sqlite(folder / "log.db")
    with recorder.datastore.transaction(commit=True) as cursor:
        for position, stream, version, topic, state in rows(golden):
            values = (position, stream, version, topic, base64.b64decode(state))
            cursor.execute("INSERT INTO stored_events VALUES (?,?,?,?,?)", values)
    recorder.close()
    keys = msgspec.json.decode((golden / "keys.json").read_bytes(), type=dict[str, str])
    store = SqliteKeyStore(folder / "keys.db")
    sealed = {name: seal(installation, base64.b64decode(key), name.encode()) for name, key in keys.items()}
    store.keep(sealed)
    store.close()
    return installation


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.name)
async def test_a_golden_log_means_what_it_meant(golden: Path, tmp_path: Path):
    installation = lay(golden, tmp_path)
    async with AsyncExitStack() as stack:
        log = await open_log(tmp_path, None, installation, stack)
        now = [plain(event) for event in await everything(log)]
        then = [msgspec.json.decode(line) for line in (golden / "events.jsonl").read_bytes().splitlines()]
        assert len(now) == len(then)
        for event, before in zip(now, then, strict=True):
            # A field that came later has its default; what was there is as it was.
            event["event"] = {name: event["event"][name] for name in before["event"]}
            assert {name: event[name] for name in before} == before
        expected = msgspec.json.decode((golden / "views.json").read_bytes())
        shown = msgspec.json.decode(msgspec.json.encode(await meaning(log, tmp_path)))
        for table, before in expected.items():
            # A column that came later is passed over; what was there is as it was.
            assert [{name: row[name] for name in old} for row, old in zip(shown[table], before, strict=True)] == before


def test_everything_that_can_happen_is_in_a_golden_log():
    recorded = {row[3] for golden in GOLDEN for row in rows(golden)}
    assert recorded >= BY_TAG.keys()
