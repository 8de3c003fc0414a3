"""Deployments, versions and variables over HTTP."""

import io
import tarfile

import httpx

from tests import projects
from tests.server import Api


def test_a_deployment_has_a_name_of_its_own(api: Api):
    created = api.client.post("/v1/deployments", json={"name": "own-name"})
    assert created.status_code == 201
    deployment = created.json()
    assert deployment["environments"] == {"production": None, "staging": None}
    assert api.client.get("/v1/deployments/own-name").json() == deployment
    assert api.client.get(f"/v1/deployments/{deployment['id']}").json() == deployment
    again = api.client.post("/v1/deployments", json={"name": "own-name"})
    assert (again.status_code, again.json()["error"]["deployment_id"]) == (409, deployment["id"])
    assert api.client.get("/v1/deployments?name=own-name").json() == {"deployments": [deployment]}


def test_names_are_checked(api: Api):
    for name in ("", "Upper", "a b", "-x", "x" * 64, "ä"):
        answer = api.client.post("/v1/deployments", json={"name": name})
        assert answer.status_code == 400
        assert answer.json()["error"]["message"].startswith("name")
    assert api.client.post("/v1/deployments", json={}).json()["error"]["message"] == "name is required"


def test_a_deleted_deployment_is_gone_and_its_name_free(api: Api):
    version = api.deploy("short-lived")
    run = api.run("short-lived", ["say", 1])
    assert api.client.delete("/v1/deployments/short-lived").status_code == 204
    assert api.client.get("/v1/deployments/short-lived").status_code == 404
    assert api.client.post("/v1/runs", json={"deployment_id": version["deployment_id"]}).status_code == 404
    assert api.client.get(f"/v1/runs/{run['id']}").json() == run
    created = api.client.post("/v1/deployments", json={"name": "short-lived"})
    assert created.status_code == 201
    assert created.json()["id"] != version["deployment_id"]


def test_a_deployment_with_a_live_run_is_not_deleted(api: Api):
    api.deploy("in-use")
    run_id = api.start("in-use", ["sleep", 30])
    answer = api.client.delete("/v1/deployments/in-use")
    assert answer.status_code == 409
    assert "1 unfinished run" in answer.json()["error"]["message"]
    api.client.post(f"/v1/runs/{run_id}/cancel")
    assert api.client.delete("/v1/deployments/in-use").status_code == 204


def test_versions_are_numbered_and_the_newest_is_live(api: Api):
    first, second = api.deploy("numbered"), api.deploy("numbered")
    assert (first["version_number"], second["version_number"]) == (1, 2)
    assert second["status"] == "ready"
    assert second["framework"] == "langgraph"
    assert second["built_at"] is not None
    listed = api.client.get("/v1/deployments/numbered/versions").json()["versions"]
    assert [(version["version_number"], version["environments"]) for version in listed] == [
        (2, ["production"]),
        (1, []),
    ]


def test_rolling_back_goes_further_back_each_time(api: Api):
    versions = [api.deploy("back-and-forth") for _ in range(3)]
    for expected in (2, 1):
        answer = api.client.post("/v1/deployments/back-and-forth/rollback", json={})
        assert (answer.status_code, answer.json()["version_number"]) == (200, expected)
        assert answer.json()["environments"] == ["production"]
    nothing = api.client.post("/v1/deployments/back-and-forth/rollback", json={})
    assert nothing.status_code == 400
    forward = api.client.post("/v1/deployments/back-and-forth/rollback", json={"version_id": versions[2]["id"]})
    assert forward.json()["version_number"] == 3
    unknown = api.client.post("/v1/deployments/back-and-forth/rollback", json={"version_id": "ver_000000000000"})
    assert unknown.status_code == 404


def test_staging_is_promoted_to_production(api: Api):
    api.deploy("promoted")
    staged = api.deploy("promoted", environment="staging")
    deployment = api.client.get("/v1/deployments/promoted").json()
    assert deployment["environments"]["production"]["version_number"] == 1
    assert deployment["environments"]["staging"]["version_number"] == 2
    answer = api.client.post("/v1/deployments/promoted/promote", json={"from": "staging", "to": "production"})
    assert answer.json()["id"] == staged["id"]
    assert answer.json()["environments"] == ["production", "staging"]
    same = api.client.post("/v1/deployments/promoted/promote", json={"from": "staging", "to": "staging"})
    assert same.status_code == 400


def test_a_failed_build_never_goes_live_and_says_why(api: Api):
    good = api.deploy("breakable")
    bad = api.deploy("breakable", {**projects.PROBE, "crewship.toml": projects.MANIFEST.replace("graph:g", "nope:g")})
    assert bad["status"] == "failed"
    assert "nope" in bad["error_message"]
    live = api.client.get("/v1/deployments/breakable").json()["environments"]["production"]
    assert live["version_id"] == good["id"]
    last = list(api.events(f"/v1/versions/{bad['id']}/events"))[-1]
    assert (last["event"], "nope" in last["data"]["error"]) == ("version.failed", True)
    answer = api.client.post("/v1/deployments/breakable/rollback", json={"version_id": bad["id"]})
    assert answer.status_code == 400


def test_a_builds_stream_ends_with_what_became_of_it(api: Api):
    version = api.deploy("streamed")
    events = list(api.events(f"/v1/versions/{version['id']}/events"))
    assert events[0]["event"] == "version.created"
    assert {event["event"] for event in events[1:-1]} == {"log"}
    assert events[-1]["data"]["payload"] == {
        "version_id": version["id"],
        "version_number": 1,
        "environment": "production",
        "activated": True,
        "note": None,
    }


def upload(api: Api, content: bytes) -> httpx.Response:
    api.client.post("/v1/deployments", json={"name": "uploads"})
    return api.client.post("/v1/deployments/uploads/versions", content=content)


def test_uploads_that_are_no_project_are_refused_and_leave_nothing(api: Api):
    def hostile(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> bytes:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            tar.addfile(entry, io.BytesIO())
        return packed.getvalue()

    cases = [
        (b"not a tar", 400, "snapshot"),
        (b"", 400, "snapshot"),
        (hostile("../../etc/cron.d/x"), 400, ".."),
        (hostile("/etc/passwd"), 400, "/etc/passwd"),
        (hostile("link", tarfile.SYMTYPE, "/etc/passwd"), 400, "link"),
        (hostile("device", tarfile.CHRTYPE), 400, "device"),
        (projects.pack({"graph.py": ""}), 400, "crewship.toml"),
        (projects.pack({"crewship.toml": "[deployment]\nframwork = 'x'\n"}), 400, "line 2"),
    ]
    for content, status, part in cases:
        answer = upload(api, content)
        assert answer.status_code == status, answer.text
        assert part in answer.json()["error"]["message"]
    assert api.client.get("/v1/deployments/uploads/versions").json() == {"versions": []}


def test_variables_are_set_merged_and_unset_and_never_shown(api: Api):
    api.client.post("/v1/deployments", json={"name": "with-variables"})
    url = "/v1/deployments/with-variables/env"
    answer = api.client.put(url, json={"variables": {"B": "secret-b", "A": "secret-a"}})
    assert [variable["name"] for variable in answer.json()["variables"]] == ["A", "B"]
    assert "secret" not in answer.text
    api.client.put(url, json={"variables": {"C": "c"}})
    assert api.client.delete(f"{url}/B").status_code == 204
    assert api.client.delete(f"{url}/B").status_code == 404
    names = [variable["name"] for variable in api.client.get(url).json()["variables"]]
    assert names == ["A", "C"]
    for wrong in ({"1A": "x"}, {"A B": "x"}, {"CREWSHIP_X": "x"}, {"A": 1}, {"A": "a\0b"}, {}):
        answer = api.client.put(url, json={"variables": wrong})
        assert (answer.status_code, answer.json()["error"]["message"][:9]) == (400, "variables")
