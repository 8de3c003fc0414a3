"""The commands against a server that answers as the API's description says."""

import asyncio
import gzip
import io
import json
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from click.testing import Result

Command = Callable[..., Result]
TOML = '[deployment]\nname = "crew"\nframework = "crewai"\nentrypoint = "crew:Crew"\n'
DEPLOYMENT = {
    "id": "dep_1",
    "name": "crew",
    "framework": "crewai",
    "environments": {"production": {"version_id": "ver_1", "version_number": 1}, "staging": None},
    "created_at": "2024-01-15T10:30:00Z",
    "updated_at": "2024-01-15T10:30:00Z",
}
VERSION = {"id": "ver_1", "deployment_id": "dep_1", "version_number": 1, "status": "ready", "environments": []}
RUN = {
    "id": "run_1",
    "deployment_id": "dep_1",
    "version_number": 1,
    "environment": "production",
    "status": "succeeded",
    "output": {"report": "é"},
    "error_message": None,
    "created_at": "2024-01-15T10:30:00Z",
    "duration_ms": 1200,
}


def frames(*events: tuple[str, dict[str, Any]]) -> bytes:
    text = ""
    for number, (kind, payload) in enumerate(events, 1):
        data = {"type": kind, "timestamp": "2024-01-15T10:30:00Z", "payload": payload, **payload}
        text += f"event: {kind}\ndata: {json.dumps(data)}\nid: evt_{number:03}\n\n"
    return text.encode()


def stream(server: Any, path: str, *events: tuple[str, dict[str, Any]]) -> None:
    @server.on("GET", path)
    async def give(_: web.Request) -> web.Response:
        return web.Response(body=frames(*events), content_type="text/event-stream")


def building(server: Any, end: str, **payload: Any) -> list[bytes]:
    """A server where nothing was deployed yet, and whose builds end so."""
    uploads: list[bytes] = []
    server.answers("POST", "/v1/deployments", DEPLOYMENT, 201)

    @server.on("POST", "/v1/deployments/dep_1/versions")
    async def receive(request: web.Request) -> web.Response:
        assert request.content_type == "application/gzip"
        uploads.append(await request.read())
        body = {"version_id": "ver_1", "version_number": 1, "status": "building"}
        return web.json_response(body, status=202)

    created = ("version.created", {"version_id": "ver_1"})
    log = ("log", {"level": "info", "message": "Installing crewai"})
    stream(server, "/v1/versions/ver_1/events", created, log, (end, {"version_id": "ver_1", **payload}))
    return uploads


def project(folder: Path) -> None:
    (folder / "crewship.toml").write_text(TOML)
    (folder / "crew.py").write_text("")


def test_a_deploy_packs_uploads_follows_and_says_what_is_live(server: Any, crewship: Command, tmp_path: Path) -> None:
    project(tmp_path)
    uploads = building(server, "version.ready", version_number=1, environment="production", activated=True)
    result = crewship("deploy")
    assert result.exit_code == 0, result.stderr
    assert "Packed 2 files" in result.stderr
    assert "Created deployment crew (dep_1)" in result.stderr
    assert "Installing crewai" in result.stdout
    assert "✅ Version 1 of crew is live in production" in result.stdout
    assert "crewship invoke crew --input" in result.stdout
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(uploads[0]))) as tar:
        assert tar.getnames() == ["crew.py", "crewship.toml"]


def test_a_deploy_for_machines_ends_with_one_line(server: Any, crewship: Command, tmp_path: Path) -> None:
    project(tmp_path)
    building(server, "version.ready", version_number=1, environment="production", activated=True)
    result = crewship("deploy", "--json")
    assert json.loads(result.stdout) == {
        "deployment_id": "dep_1",
        "version_id": "ver_1",
        "version_number": 1,
        "status": "ready",
    }


def test_a_failed_build_says_why_and_ends_with_1(server: Any, crewship: Command, tmp_path: Path) -> None:
    project(tmp_path)
    building(server, "version.failed", error="No module named crew")
    result = crewship("deploy", "--json")
    assert (result.exit_code, json.loads(result.stdout)["status"]) == (1, "failed")
    assert "error: version 1 could not be built: No module named crew" in result.stderr


def test_a_build_that_came_too_late_says_so(server: Any, crewship: Command, tmp_path: Path) -> None:
    project(tmp_path)
    building(server, "version.ready", environment="production", activated=False, note="version 2 is already live")
    assert "is built but not live in production: version 2 is already live" in crewship("deploy").stdout


def test_a_wrong_manifest_is_told_before_anything_is_sent(server: Any, crewship: Command, tmp_path: Path) -> None:
    (tmp_path / "crewship.toml").write_text('[deployment]\nframwork = "crewai"\n')
    result = crewship("deploy")
    assert result.exit_code == 2
    assert 'error: crewship.toml line 2: unknown key "framwork"' in result.stderr
    assert server.asked == []


@pytest.mark.parametrize(
    ("wanted", "path", "body"),
    [
        ("ver_1", "dep_1", {"environment": "production", "version_id": "ver_1"}),
        ("dep_1", "dep_1", {"environment": "production"}),
        ("1", "crew", {"environment": "production", "version_id": "ver_1"}),
    ],
)
def test_a_rollback_takes_a_version_a_number_or_a_deployment(
    server: Any, crewship: Command, wanted: str, path: str, body: dict[str, str]
) -> None:
    server.answers("GET", "/v1/versions/ver_1", VERSION)
    server.answers("GET", "/v1/deployments/crew/versions", {"versions": [VERSION]})
    sent = []

    @server.on("POST", f"/v1/deployments/{path}/rollback")
    async def back(request: web.Request) -> web.Response:
        sent.append(await request.json())
        return web.json_response(VERSION)

    result = crewship("deploy", "--rollback", wanted, *(["-n", "crew"] if wanted == "1" else []))
    assert result.exit_code == 0, result.stderr
    assert sent == [body]


def invoked(server: Any, **run: Any) -> list[Any]:
    sent: list[Any] = []

    @server.on("POST", "/v1/runs")
    async def start(request: web.Request) -> web.Response:
        sent.append(await request.json())
        body = {"run_id": "run_1", "version_id": "ver_1", "version_number": 1, "status": "pending"}
        return web.json_response(body, status=202)

    answers = [{**RUN, "status": "running"}, {**RUN, **run}]

    @server.on("GET", "/v1/runs/run_1/wait")
    async def wait(_: web.Request) -> web.Response:
        return web.json_response(answers.pop(0) if len(answers) > 1 else answers[0])

    return sent


def test_an_invocation_waits_and_prints_the_output(server: Any, crewship: Command) -> None:
    sent = invoked(server)
    result = crewship("invoke", "crew", "-i", '{"topic": "AI"}')
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"report": "é"})
    assert result.stderr == "run_1 succeeded in 1.2s\n"
    assert sent == [{"deployment_id": "crew", "input": {"topic": "AI"}, "environment": "production"}]


def test_a_failed_run_ends_with_1_and_prints_no_output(server: Any, crewship: Command) -> None:
    invoked(server, status="failed", output=None, error_message="ValueError: no")
    result = crewship("invoke", "crew")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: run_1 failed: ValueError: no (see")


def test_a_detached_invocation_prints_the_id(server: Any, crewship: Command) -> None:
    invoked(server)
    assert crewship("invoke", "crew", "--detach").stdout == "run_1\n"


def test_a_server_that_restarts_is_waited_for(server: Any, crewship: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    invoked(server)
    monkeypatch.setattr("time.sleep", lambda _: None)
    wait, tries = server.routes["GET", "/v1/runs/run_1/wait"], []

    @server.on("GET", "/v1/runs/run_1/wait")
    async def gone(request: web.Request) -> web.StreamResponse:
        tries.append(1)
        if len(tries) < 3:
            assert request.transport is not None
            request.transport.abort()
        answer: web.StreamResponse = await wait(request)
        return answer

    result = crewship("invoke", "crew")
    assert result.exit_code == 0, result.stderr
    assert "Connection lost, trying again …\nConnected again.\n" in result.stderr


def test_a_streamed_invocation_draws_the_run(server: Any, crewship: Command) -> None:
    invoked(server)
    started, failed = ("run.started", {"run_id": "run_1"}), ("run.failed", {"run_id": "run_1", "error": "no"})
    stream(server, "/v1/runs/run_1/events", started, failed)
    result = crewship("invoke", "crew", "--stream")
    assert (result.exit_code, result.stdout) == (1, "▶ Run started: run_1\n❌ Run failed: no\n")
    lines = crewship("invoke", "crew", "--stream", "--json").stdout.splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["run.started", "run.failed"]


def test_an_interruption_leaves_the_run_and_says_how_to_go_on(
    server: Any, crewship: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoked(server)

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("crewship.cli.invoke.wait_for_run", interrupted)
    result = crewship("invoke", "crew")
    assert result.exit_code == 130
    assert "crewship runs events run_1" in result.stderr
    assert "crewship runs cancel run_1" in result.stderr


def test_ctrl_c_while_a_run_is_drawn_leaves_it_running(server: Any, tmp_path: Path) -> None:
    invoked(server)

    @server.on("GET", "/v1/runs/run_1/events")
    async def held(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(frames(("run.started", {"run_id": "run_1"})))
        await asyncio.sleep(60)
        return response

    # Where the tests run in the background, a shell has switched the signal off for all that it starts.
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    program = f"{heeding}from crewship.cli.main import main; main()"
    command = [sys.executable, "-c", program, "invoke", "crew", "--stream"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "▶ Run started: run_1\n"
        process.send_signal(signal.SIGINT)
        _, notes = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "The run goes on. Follow it: crewship runs events run_1" in notes
    assert "Traceback" not in notes


def test_waiting_ends_when_the_time_is_over(server: Any, crewship: Command) -> None:
    invoked(server, status="running")
    result = crewship("invoke", "crew", "--timeout", "0.2s")
    assert (result.exit_code, result.stderr.partition(":")[2].strip()[:37]) == (
        1,
        "run_1 has not ended after 0.2s and go",
    )


def test_lists_are_plain_columns_when_piped(server: Any, crewship: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    server.answers("GET", "/v1/runs", {"runs": [RUN]})
    lines = crewship("runs", "list").stdout.splitlines()
    assert [line.split()[:4] for line in lines] == [
        ["ID", "STATUS", "DEPLOYMENT", "VERSION"],
        ["run_1", "succeeded", "dep_1", "1"],
    ]
    server.answers("GET", "/v1/deployments", {"deployments": [DEPLOYMENT]})
    assert "version 1" in crewship("deployments", "list").stdout
    assert json.loads(crewship("deployments", "list", "--json").stdout) == {"deployments": [DEPLOYMENT]}


def test_an_empty_list_says_so_on_stderr(server: Any, crewship: Command) -> None:
    server.answers("GET", "/v1/runs", {"runs": []})
    result = crewship("runs", "list")
    assert (result.stdout, result.stderr.startswith("No runs.")) == ("", True)


def test_setting_a_variable_makes_the_deployment_and_shows_no_value(
    server: Any, crewship: Command, tmp_path: Path
) -> None:
    server.answers("POST", "/v1/deployments", DEPLOYMENT, 201)
    sent = []

    @server.on("PUT", "/v1/deployments/dep_1/env")
    async def put(request: web.Request) -> web.Response:
        sent.append(await request.json())
        return web.json_response({"variables": []})

    outputs = [
        crewship("env", "set", "-n", "crew", "A=s3cret", "B=x=y"),
        crewship("env", "set", "-n", "crew", "--from-stdin", "C", input="s3cret\n"),
    ]
    (tmp_path / ".env").write_text('export D="s3cret"\n')
    outputs.append(crewship("env", "import", "-n", "crew", ".env"))
    assert [result.exit_code for result in outputs] == [0, 0, 0]
    assert sent == [
        {"variables": {"A": "s3cret", "B": "x=y"}},
        {"variables": {"C": "s3cret"}},
        {"variables": {"D": "s3cret"}},
    ]
    assert not any("s3cret" in result.output for result in outputs)


def test_a_deployment_is_deleted_only_after_a_yes(server: Any, crewship: Command) -> None:
    server.answers("GET", "/v1/deployments/crew", DEPLOYMENT)
    deleted = []

    @server.on("DELETE", "/v1/deployments/dep_1")
    async def delete(_: web.Request) -> web.Response:
        deleted.append(1)
        return web.Response(status=204)

    assert crewship("deployments", "delete", "crew", input="n\n").exit_code == 130
    assert deleted == []
    assert crewship("deployments", "delete", "crew", "--yes").exit_code == 0
    assert deleted == [1]


def test_a_new_key_is_the_only_thing_on_stdout(server: Any, crewship: Command) -> None:
    key = {"id": "key_1", "name": "ci", "scopes": ["deploy"], "key": "csk_new", "created_at": "", "expires_at": None}
    server.answers("POST", "/v1/api-keys", key, 201)
    result = crewship("keys", "create", "ci", "--scope", "deploy")
    assert result.stdout == "csk_new\n"
    assert "only time" in result.stderr


def test_logs_are_the_lines_alone(server: Any, crewship: Command) -> None:
    server.answers("GET", "/v1/runs/run_1", RUN)
    lines = [("log", {"level": "info", "message": message}) for message in ("a", "b")]
    stream(server, "/v1/runs/run_1/events", *lines, ("run.completed", {"duration_ms": 1}))
    assert crewship("runs", "logs", "run_1").stdout == "a\nb\n"


def test_events_of_chosen_types_are_all_shown(server: Any, crewship: Command) -> None:
    server.answers("GET", "/v1/runs/run_1", RUN)
    stream(server, "/v1/runs/run_1/events", ("tool.result", {"output": 1}), ("run.canceled", {}))
    lines = crewship("runs", "events", "run_1", "--types", "tool.result,run.canceled").stdout.splitlines()
    assert lines[0].endswith('tool.result {"output": 1}')
    assert lines[1] == "⏹ Run canceled"


@pytest.mark.parametrize(
    "arguments",
    [("runs", "get", "run_0"), ("runs", "events", "run_0"), ("runs", "wait", "run_0"), ("versions", "get", "v")],
)
def test_what_is_not_there_is_told_at_once(server: Any, crewship: Command, arguments: tuple[str, ...]) -> None:
    result = crewship(*arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("error: There is no /v1/")


def test_a_rerun_is_waited_for_like_an_invocation(server: Any, crewship: Command):
    asked: list[Any] = []

    @server.on("POST", "/v1/runs/run_0/rerun")
    async def rerun(request: web.Request) -> web.Response:
        asked.append(await request.json())
        return web.json_response({"run_id": "run_1", "rerun_of": "run_0", "status": "pending"}, status=202)

    server.answers("GET", "/v1/runs/run_1/wait", RUN)
    result = crewship("runs", "rerun", "run_0", "--active", "-i", '{"topic": "AI"}')
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"report": "é"}
    assert asked == [{"version": "active", "input": {"topic": "AI"}}]
    result = crewship("runs", "rerun", "run_0", "--detach")
    assert (result.stdout, asked[1]) == ("run_1\n", {"version": "same"})
