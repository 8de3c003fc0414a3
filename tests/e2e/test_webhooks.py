"""Webhooks as a user sets them up, with a receiver that fails and a server that is killed."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from crewship.cli.main import cli
from tests.receiver import DEADLINE, Receiver, listening
from tests.server import ADMIN_KEY, Api, ServerProcess


@pytest.fixture
def own(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server of the test's own that may be told to reach this machine."""
    process = ServerProcess(tmp_path / "data", CREWSHIP_WEBHOOK_ALLOW="127.0.0.1").start()
    yield process
    process.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with listening(Receiver()) as receiver:
        yield receiver


def crewship(server: ServerProcess, *words: str, code: int = 0) -> Result:
    """A command, logged in to that server."""
    environment = {"CREWSHIP_URL": server.url, "CREWSHIP_API_KEY": ADMIN_KEY}
    ran = CliRunner().invoke(cli, words, env=environment, prog_name="crewship")
    assert ran.exit_code == code, (words, ran.stdout, ran.stderr)
    return ran


def test_each_delivery_arrives_though_receiver_and_server_die_in_between(own: ServerProcess):
    receiver = Receiver(answers=[(500, 0.0), (200, 0.0)])
    with listening(receiver), own.client() as client:
        api = Api(client)
        api.deploy("probe")
        made = crewship(own, "webhooks", "create", "told", "-n", "probe", "--url", receiver.url, "--json")
        hook = json.loads(made.stdout)
        runs = [api.run("probe", ["say", 1])["id"]]
        receiver.wait_for(1)  # was answered 500
    with own.client() as client:  # nobody listens now
        runs.append(Api(client).run("probe", ["say", 2])["id"])
    own.kill()
    own.start()
    with listening(receiver), own.client() as client:
        runs.append(Api(client).run("probe", ["raise", "x"])["id"])
        url = f"/v1/deployments/probe/webhooks/{hook['id']}/deliveries"
        told = settled(client, url, 3)
        heard = [one.verified(hook["secret"]) for one in receiver.arrived]
        assert {one["data"]["id"] for one in heard} == set(runs)
        first = client.get(f"{url}/{told[runs[0]]['id']}").json()
        outcomes = [attempt["outcome"] for attempt in first["attempts"]]
        assert (outcomes[0], outcomes[-1]) == ("failed", "succeeded")
        shown = crewship(own, "webhooks", "deliveries", hook["id"], first["id"], "-n", "probe").stdout
        assert "answered 500" in shown


def settled(client: Any, url: str, count: int) -> dict[str, Any]:
    """The deliveries by their runs, once so many have succeeded."""
    deadline = time.monotonic() + DEADLINE
    while True:
        found = client.get(f"{url}?status=succeeded").json()["deliveries"]
        if len(found) >= count:
            return {one["run_id"]: one for one in found}
        assert time.monotonic() < deadline, client.get(url).json()
        time.sleep(0.1)


def test_a_token_is_made_used_rotated_and_revoked_on_the_command_line(server: ServerProcess, api: Api):
    address = crewship(server, "webhooks", "create", "cli form", "-n", "probe").stdout.strip()
    with server.client(None) as anybody:
        assert anybody.post(address, json={"steps": []}).status_code == 202
        listed = json.loads(crewship(server, "webhooks", "list", "-n", "probe", "--json").stdout)["webhooks"]
        (hook,) = [one for one in listed if one["name"] == "cli form"]
        other = crewship(server, "webhooks", "rotate", hook["id"], "-n", "probe").stdout.strip()
        assert anybody.post(address, json={}).status_code == 404
        assert anybody.post(other, json={"steps": []}).status_code == 202
        assert "Deleted" in crewship(server, "webhooks", "delete", hook["id"], "-n", "probe").stdout
        assert anybody.post(other, json={}).status_code == 404


def test_an_endpoint_is_tried_out_and_changed_on_the_command_line(server: ServerProcess, api: Api, receiver: Receiver):
    words = ("-n", "probe", "--url", receiver.url, "--event", "run.failed", "--json")
    hook = json.loads(crewship(server, "webhooks", "create", "cli out", *words).stdout)
    assert "✅ Answered 200" in crewship(server, "webhooks", "test", hook["id"], "-n", "probe").stdout
    receiver.answers = [(500, 0.0)]
    failed = crewship(server, "webhooks", "test", hook["id"], "-n", "probe", code=1)
    assert "the endpoint was not reached: answered 500" in failed.stderr
    shown = crewship(server, "webhooks", "update", hook["id"], "-n", "probe", "--event", "run.canceled").stdout
    assert "run.canceled" in shown
    assert "active" in crewship(server, "webhooks", "resume", hook["id"], "-n", "probe").stdout
    listed = json.loads(crewship(server, "webhooks", "deliveries", hook["id"], "-n", "probe", "--json").stdout)
    assert [one["status"] for one in listed["deliveries"]] == ["failed", "succeeded"]
    again = crewship(server, "webhooks", "redeliver", hook["id"], listed["deliveries"][0]["id"], "-n", "probe")
    assert "on its way again" in again.stdout
    assert hook["secret"] not in crewship(server, "webhooks", "get", hook["id"], "-n", "probe").stdout
    crewship(server, "webhooks", "delete", hook["id"], "-n", "probe")


def test_a_schedule_is_kept_on_the_command_line(server: ServerProcess, api: Api):
    words = ("0 9 * * mon-fri", "-n", "probe", "--tz", "Europe/Berlin", "--catch-up", "6h", "-i", '{"steps": []}')
    schedule_id = crewship(server, "schedules", "create", *words).stdout.strip()
    assert len(crewship(server, "schedules", "next", schedule_id, "-n", "probe").stdout.splitlines()) == 5
    assert "Europe/Berlin" in crewship(server, "schedules", "get", schedule_id, "-n", "probe").stdout
    assert "paused" in crewship(server, "schedules", "pause", schedule_id, "-n", "probe").stdout
    assert schedule_id in crewship(server, "schedules", "list", "-n", "probe").stdout
    assert "active" in crewship(server, "schedules", "resume", schedule_id, "-n", "probe").stdout
    assert "None of its times" in crewship(server, "schedules", "history", schedule_id, "-n", "probe").stderr
    refused = crewship(server, "schedules", "create", "nonsense", "-n", "probe", code=1)
    assert "cron: expected five fields" in refused.stderr
    assert "Deleted" in crewship(server, "schedules", "delete", schedule_id, "-n", "probe").stdout
