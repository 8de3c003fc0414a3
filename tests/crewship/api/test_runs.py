"""Runs over HTTP, on a real server with a real project."""

import hashlib
import time

from tests.server import Api, ServerProcess


def test_a_run_goes_from_pending_to_its_output(api: Api):
    answer = api.client.post("/v1/runs", json={"deployment_id": "probe", "input": {"steps": [["say", "hello"]]}})
    assert answer.status_code == 202
    accepted = answer.json()
    assert accepted["status"] == "pending"
    assert accepted["version_number"] == 1
    run = api.wait(accepted["run_id"])
    assert run["status"] == "succeeded"
    assert run["output"]["said"] == "hello"
    assert run["input"] == {"steps": [["say", "hello"]]}
    assert run["error_message"] is None
    assert run["created_at"] <= run["started_at"] <= run["completed_at"]
    assert run["duration_ms"] >= 0


def test_a_run_without_a_deployment_is_refused(api: Api):
    answer = api.client.post("/v1/runs", json={"input": {}})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["message"], error["code"]) == ("deployment_id is required", "bad_request")


def test_a_run_of_an_unknown_deployment_is_not_found(api: Api):
    for reference in ("nobody", "dep_000000000000"):
        answer = api.client.post("/v1/runs", json={"deployment_id": reference})
        assert answer.status_code == 404
        assert reference in answer.json()["error"]["message"]


def test_a_run_where_nothing_is_live_is_refused(api: Api):
    answer = api.client.post("/v1/runs", json={"deployment_id": "probe", "environment": "staging"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "No running version found for staging environment"


def test_wrong_types_are_named_by_their_path(api: Api):
    cases = {
        '{"deployment_id": 7}': "deployment_id: expected `str | null`, got `int`",
        '{"deployment_id": "probe", "input": []}': "input: expected `object | null`, got `array`",
        '{"deployment_id": "probe", "environment": "moon"}': "environment: invalid enum value 'moon'",
        "[]": "Expected `object`, got `array`",
        "{": "The body is not JSON: Input data was truncated",
    }
    for body, message in cases.items():
        answer = api.client.post("/v1/runs", content=body)
        assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)


def test_unknown_fields_are_ignored(api: Api):
    answer = api.client.post("/v1/runs", json={"deployment_id": "probe", "novelty": 1})
    assert answer.status_code == 202
    api.wait(answer.json()["run_id"])


def test_an_input_over_4_mib_is_too_large(api: Api):
    body = {"deployment_id": "probe", "input": {"text": "x" * (4 * 1024 * 1024)}}
    answer = api.client.post("/v1/runs", json=body)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


def test_large_values_are_whole_in_the_api_and_cut_in_streams(api: Api):
    text = "x" * (600 * 1024)
    answer = api.client.post("/v1/runs", json={"deployment_id": "probe", "input": {"steps": [["say", text]]}})
    run = api.wait(answer.json()["run_id"])
    assert run["input"] == {"steps": [["say", text]]}
    assert run["output"]["said"] == text
    events = {event["event"]: event["data"] for event in api.events(f"/v1/runs/{run['id']}/events")}
    for cut in (events["run.created"]["input"], events["run.completed"]["result"]):
        assert cut["$truncated"]["size"] > 600 * 1024
        assert len(cut["$truncated"]["preview"]) == 1024


def test_a_graph_that_raises_fails_the_run_with_its_stack_trace(api: Api):
    run = api.run("probe", ["raise", "no luck"])
    assert (run["status"], run["reason"], run["error_message"]) == ("failed", "error", "ValueError: no luck")
    last = list(api.events(f"/v1/runs/{run['id']}/events"))[-1]
    assert last["event"] == "run.failed"
    assert "raise ValueError(value)" in last["data"]["stack_trace"]
    assert "crewship_runner" not in last["data"]["stack_trace"]


def test_a_process_that_ends_without_a_result_fails_the_run(api: Api):
    run = api.run("probe", ["exit", 3])
    assert (run["status"], run["reason"]) == ("failed", "error")
    assert "exit code 3" in run["error_message"]


def test_a_pending_or_running_run_can_be_canceled_and_a_finished_one_not(api: Api):
    run_id = api.start("probe", ["print", "up"], ["sleep", 60])
    api.until(run_id, "running")
    began = time.monotonic()
    answer = api.client.post(f"/v1/runs/{run_id}/cancel")
    assert (answer.status_code, answer.json()) == (200, {"success": True, "status": "canceled"})
    assert time.monotonic() - began < 30
    assert api.client.get(f"/v1/runs/{run_id}").json()["status"] == "canceled"
    again = api.client.post(f"/v1/runs/{run_id}/cancel")
    assert again.status_code == 400
    error = again.json()["error"]
    assert (error["message"], error["code"]) == ("Cannot cancel run with status: canceled", "bad_request")
    last = list(api.events(f"/v1/runs/{run_id}/events"))[-1]
    assert last["event"] == "run.canceled"
    assert set(last["data"]["payload"]) == {"run_id", "canceled_at"}


def test_waiting_ends_at_its_timeout(api: Api):
    run_id = api.start("probe", ["sleep", 30])
    answer = api.client.get(f"/v1/runs/{run_id}/wait?timeout=0")
    assert answer.json()["status"] in ("pending", "running")
    api.client.post(f"/v1/runs/{run_id}/cancel")
    assert api.client.get(f"/v1/runs/{run_id}/wait?timeout=x").status_code == 400


def test_runs_are_listed_newest_first_and_filtered(api: Api):
    first, second = api.run("probe", ["say", 1]), api.run("probe", ["raise", "x"])
    runs = api.client.get("/v1/runs?deployment_id=probe&limit=2").json()["runs"]
    assert [run["id"] for run in runs] == [second["id"], first["id"]]
    assert runs == [second, first]
    failed = api.client.get("/v1/runs?status=failed&limit=1").json()["runs"]
    assert [run["id"] for run in failed] == [second["id"]]
    older = api.client.get("/v1/runs?limit=1&offset=1").json()["runs"]
    assert [run["id"] for run in older] == [first["id"]]
    for wrong in ("limit=0", "limit=101", "limit=x", "offset=-1", "status=odd"):
        answer = api.client.get(f"/v1/runs?{wrong}")
        assert answer.status_code == 400
        assert wrong.partition("=")[0] in answer.json()["error"]["message"]


def test_an_unknown_run_is_not_found_everywhere(api: Api):
    for path in ("", "/wait", "/events", "/artifacts", "/artifacts/x"):
        for run_id in ("run_000000000000", "nonsense", "ver_1"):
            answer = api.client.get(f"/v1/runs/{run_id}{path}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert api.client.post("/v1/runs/run_000000000000/cancel").status_code == 404


def test_artifacts_are_collected_and_served(api: Api):
    run = api.run("probe", ["write", "report.md", "# ü\n"], ["write", "data/a b.json", "{}"], ["link"])
    files = api.client.get(f"/v1/runs/{run['id']}/artifacts").json()["artifacts"]
    assert [(file["name"], file["size"], file["content_type"]) for file in files] == [
        ("data/a b.json", 2, "application/json"),
        ("report.md", 5, "text/markdown"),
    ]
    assert files[1]["sha256"] == hashlib.sha256("# ü\n".encode()).hexdigest()
    answer = api.client.get(f"/v1/runs/{run['id']}/artifacts/report.md")
    assert answer.content.decode() == "# ü\n"
    assert answer.headers["Content-Type"] == "text/markdown"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Length"] == "5"
    again = api.client.get(
        f"/v1/runs/{run['id']}/artifacts/report.md", headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert again.status_code == 304
    part = api.client.get(f"/v1/runs/{run['id']}/artifacts/data/a%20b.json", headers={"Range": "bytes=1-"})
    assert (part.status_code, part.content) == (206, b"}")
    for name in ("nothing", "..%2f..%2fserver.json", "link", "data"):
        assert api.client.get(f"/v1/runs/{run['id']}/artifacts/{name}").status_code == 404
    logs = [event["data"] for event in api.events(f"/v1/runs/{run['id']}/events?types=log")]
    assert any(log["level"] == "warning" and "link" in log["message"] for log in logs)


def test_output_that_is_not_json_breaks_nothing(api: Api):
    run = api.run("probe", ["odd"], ["binary"], ["print", "\x00\x1b[31mred"])
    assert run["status"] == "succeeded"


def test_a_line_of_10_mb_is_cut_and_says_so(api: Api):
    run = api.run("probe", ["one_line", 10_000_000], ["print", "after"])
    assert run["status"] == "succeeded"
    logs = [event["data"] for event in api.events(f"/v1/runs/{run['id']}/events?types=log")]
    cut = [log for log in logs if log.get("truncated")]
    assert len(cut) == 1
    assert len(cut[0]["message"]) <= 64 * 1024
    assert "after" in [log["message"] for log in logs]


def test_a_run_sees_its_environment_and_nothing_of_the_servers(api: Api):
    api.client.put("/v1/deployments/probe/env", json={"variables": {"GREETING": "hello"}})
    assert api.run("probe", ["env", "GREETING"])["output"]["said"] == "hello"
    run = api.run("probe", ["env", "CREWSHIP_RUN_ID"])
    assert run["output"]["said"] == run["id"]
    assert api.run("probe", ["env", "CREWSHIP_ADMIN_KEY"])["output"]["said"] is None


def test_a_runs_own_key_reaches_that_run_alone_and_ends_with_it(api: Api, server: ServerProcess):
    run_id = api.start("probe", ["env", "CREWSHIP_API_KEY"])
    run = api.wait(run_id)
    with server.client(run["output"]["said"]) as own:
        assert own.get(f"/v1/runs/{run_id}").status_code == 401
    sleeper = api.start("probe", ["env", "CREWSHIP_API_KEY"], ["sleep", 30])
    api.until(sleeper, "running")
    forged = run["output"]["said"].replace(run_id, sleeper)
    with server.client(forged) as other:
        assert other.get(f"/v1/runs/{sleeper}").status_code == 401
    api.client.post(f"/v1/runs/{sleeper}/cancel")


def test_the_same_request_under_an_idempotency_key_is_one_run(api: Api):
    body = {"deployment_id": "probe", "input": {"steps": [["say", 1]]}}
    headers = {"Idempotency-Key": "order-1"}
    first = api.client.post("/v1/runs", json=body, headers=headers).json()
    second = api.client.post("/v1/runs", json=body, headers=headers)
    assert second.status_code == 202
    assert second.json()["run_id"] == first["run_id"]
    other = api.client.post("/v1/runs", json={**body, "input": {}}, headers=headers)
    assert (other.status_code, other.json()["error"]["run_id"]) == (409, first["run_id"])
    api.wait(first["run_id"])
