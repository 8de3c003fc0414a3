"""What keys reach that do not reach everything: those that are bound to deployments, and those of runs."""

import json
from collections.abc import Iterator

import httpx
import pytest

from crewship.api.app import ROUTES
from crewship.api.reach import OWNERS
from tests.server import Api, ServerProcess

COLUMNS = [{"name": "note", "type": "text"}]


class Two:
    """Two teams on one server: a deployment, a run, a thread and a table of each, and a key bound to the first."""

    def __init__(self, api: Api, server: ServerProcess) -> None:
        self.api = api
        post = api.client.post
        assert post("/v1/deployments", json={"name": "reach-theirs"}).status_code == 201
        self.theirs = api.client.get("/v1/deployments/reach-theirs").json()["id"]
        self.ours = api.client.get("/v1/deployments/probe").json()["id"]
        version = api.deploy("reach-others")
        self.others = version["deployment_id"]
        key = {"name": "team", "scopes": ["admin"], "deployment_ids": ["probe", "reach-theirs"]}
        self.made = post("/v1/api-keys", json=key).json()
        self.bound = server.client(self.made["key"])
        self.things = {
            name: {
                "deployment": deployment,
                "version_id": api.client.get(f"/v1/deployments/{deployment}/versions").json()["versions"][0]["id"],
                "run_id": api.run(deployment, ["say", 1])["id"],
                "thread_id": post("/v1/threads", json={"deployment_id": deployment}).json()["thread_id"],
                "table": self.table(f"reach {name}", deployment),
            }
            for name, deployment in (("ours", self.ours), ("others", self.others))
        }

    def table(self, name: str, deployment: str | None) -> str:
        body = {"name": name, "columns": COLUMNS, "deployment_id": deployment}
        answer = self.api.client.post("/v1/tables", json=body)
        assert answer.status_code == 201, answer.text
        table_id: str = answer.json()["id"]
        return table_id


@pytest.fixture(scope="module")
def two(api: Api, server: ServerProcess) -> Iterator[Two]:
    two = Two(api, server)
    with two.bound:
        yield two


def path_of(template: str, things: dict[str, str]) -> str:
    path = template.replace("{name:.+}", "x").replace("{artifact:.+}", "x")
    for place, thing in things.items():
        path = path.replace(f"{{{place}}}", thing)
    return path.replace("{", "").replace("}", "")


@pytest.mark.parametrize(
    "route",
    [route for route in ROUTES if route.path.startswith("/v1")],
    ids=lambda route: f"{route.method} {route.path}",
)
def test_what_is_not_ones_own_is_not_there_and_what_has_no_owner_is_closed(route, two: Two):
    path = path_of(route.path, two.things["others"])
    with two.bound.stream(route.method, path, json={}) as answer:
        if answer.is_error:  # what is open may go on for ever
            answer.read()
    if any(f"{{{place}" in route.path for place in OWNERS):
        assert answer.status_code == 404, route
        assert "not found" in answer.json()["error"]["message"]
    elif route.scope is not None and not route.narrows:
        assert answer.status_code == 403, route


def test_what_is_ones_own_is_there(two: Two):
    ours = two.things["ours"]
    for template in (
        "/v1/deployments/{deployment}",
        "/v1/deployments/{deployment}/env",
        "/v1/versions/{version_id}",
        "/v1/runs/{run_id}",
        "/v1/runs/{run_id}/artifacts",
        "/v1/threads/{thread_id}",
        "/v1/threads/{thread_id}/history",
        "/v1/tables/{table}",
        "/v1/tables/{table}/rows",
    ):
        assert two.bound.get(path_of(template, ours)).status_code == 200


def test_lists_hold_what_is_ones_own(two: Two):
    def ids(path: str, client: httpx.Client) -> set[str]:
        (items,) = client.get(path).json().values()
        return {item.get("id") or item["thread_id"] for item in items}

    assert ids("/v1/deployments", two.bound) == {two.ours, two.theirs}
    for plural, place in (("runs", "run_id"), ("tables", "table")):
        mine = ids(f"/v1/{plural}?limit=100", two.bound)
        assert two.things["ours"][place] in mine
        assert two.things["others"][place] not in mine
        assert two.things["others"][place] in ids(f"/v1/{plural}?limit=100", two.api.client)
    assert ids(f"/v1/runs?deployment_id={two.others}", two.bound) == set()
    assert two.bound.get("/v1/threads?deployment_id=reach-others").status_code == 404
    assert two.bound.get("/v1/runs?deployment_id=reach-others").status_code == 404


def test_one_begins_nothing_elsewhere(two: Two):
    for path in ("/v1/runs", "/v1/threads"):
        assert two.bound.post(path, json={"deployment_id": "reach-others"}).status_code == 404
        assert two.bound.post(path, json={"deployment_id": two.others}).status_code == 404
        assert two.bound.post(path, json={"deployment_id": "probe"}).status_code in (201, 202)
    assert two.bound.post("/v1/deployments", json={"name": "reach-new"}).status_code == 403
    for elsewhere in (two.others, "reach-others"):
        body = {"name": "reach elsewhere", "columns": COLUMNS, "deployment_id": elsewhere}
        assert two.bound.post("/v1/tables", json=body).status_code == 404


def test_a_table_of_a_key_that_is_bound_to_several_says_whose_it_is(two: Two):
    body = {"name": "reach whose", "columns": COLUMNS}
    assert "deployment_id" in two.bound.post("/v1/tables", json=body).json()["error"]["message"]
    made = two.bound.post("/v1/tables", json={**body, "deployment_id": "probe"}).json()
    assert made["deployment_id"] == two.ours
    assert two.bound.delete(f"/v1/tables/{made['id']}").status_code == 204


def test_a_bound_admin_is_no_admin_of_the_installation(two: Two, server: ServerProcess):
    body = {"name": "boss", "scopes": ["admin"], "deployment_ids": [two.ours]}
    made = two.api.client.post("/v1/api-keys", json=body).json()
    assert made["deployment_ids"] == [two.ours]
    with server.client(made["key"]) as client:
        assert client.post("/v1/api-keys", json={"name": "x", "scopes": ["admin"]}).status_code == 403
        assert client.get("/v1/api-keys").status_code == 403
    assert two.api.client.post("/v1/api-keys", json={**body, "deployment_ids": ["nowhere"]}).status_code == 404


def test_a_run_writes_rows_of_its_deployments_tables_and_of_those_of_none(two: Two):
    shared = two.table("reach shared", None)
    row = json.dumps({"note": "from inside"})
    for table, expected in ((two.things["ours"]["table"], 201), (shared, 201), (two.things["others"]["table"], 404)):
        run = two.api.run("probe", ["ask_api", f"/v1/tables/{table}/rows", None, row])
        assert run["output"]["said"] == expected
        if expected == 201:
            meta = two.api.client.get(f"/v1/tables/{table}/rows").json()["rows"][0]["_meta"]
            assert meta["created_by"] == f"run:{run['id']}"
    two.api.client.delete(f"/v1/tables/{shared}")


def test_a_run_makes_no_tables_and_sees_no_other_run(two: Two):
    other = two.things["ours"]["run_id"]
    for path, body in (("/v1/tables", {"name": "x", "columns": COLUMNS}), (f"/v1/runs/{other}/cancel", {})):
        run = two.api.run("probe", ["ask_api", path, None, json.dumps(body)])
        assert run["output"]["said"] == 403
    run = two.api.run("probe", ["ask_api", f"/v1/runs/{other}"])
    assert run["output"]["said"] == 403
    run = two.api.run("probe", ["ask_api", "/v1/tables"])
    assert run["output"]["said"] == 200
