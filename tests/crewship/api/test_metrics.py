"""What Prometheus reads, and who else may."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.server import Api, ServerProcess


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Each sample by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text: str, name: str, **labels: str) -> float:
    return samples(text).get((name, frozenset(labels.items())), 0.0)


def test_what_happens_is_counted(api: Api):
    before = api.client.get("/metrics").text
    run = api.run("probe", ["raise", "no"])
    assert run["reason"] == "error"
    api.client.get("/v1/runs/nobody")
    api.client.get("/v1/nowhere/at/all")
    after = api.client.get("/metrics").text

    def more(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    assert more("crewship_runs_created_total") == 1
    assert more("crewship_runs_ended_total", status="failed", reason="error") == 1
    assert more("crewship_http_requests_total", method="GET", route="/v1/runs/{run_id}", status="404") == 1
    assert more("crewship_http_requests_total", method="GET", route="none", status="404") == 1
    assert more("crewship_http_request_seconds_count", method="POST", route="/v1/runs") == 1
    assert more("crewship_log_append_seconds_count") > 2
    assert more("crewship_log_batch_appends_count") > 2
    assert more("crewship_log_position") > 2
    assert value(after, "crewship_ready") == 1
    assert value(after, "crewship_runs_waiting") == value(after, "crewship_builds") == 0
    assert value(after, "crewship_server_starts") == 1
    assert value(after, "process_resident_memory_bytes") > 0


def test_nothing_that_a_client_sends_becomes_a_label(api: Api, server: ServerProcess):
    for number in range(3):
        api.client.get(f"/v1/runs/sent-{number}")
        api.client.get(f"/sent-{number}")
        api.client.request(f"SENT{number}", "/v1/runs")
    assert "sent-" not in api.client.get("/metrics").text.lower()
    assert "SENT" not in api.client.get("/metrics").text


def test_this_machine_reads_freely_and_others_need_a_key(api: Api, server: ServerProcess):
    with server.client(None) as client:
        assert client.get("/metrics").headers["Content-Type"].startswith("text/plain; version=0.0.4")
        behind: dict[str, str] = {"X-Forwarded-For": "203.0.113.9"}
        assert client.get("/metrics", headers=behind).status_code == 401
    key = api.client.post("/v1/api-keys", json={"name": "prometheus", "scopes": ["read"]}).json()["key"]
    answer = httpx.get(f"{server.url}/metrics", headers={**behind, "Authorization": f"Bearer {key}"})
    assert answer.status_code == 200
