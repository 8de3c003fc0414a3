"""Tables and their rows over HTTP, on a real server."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import httpx
import pytest

from tests.server import Api, ServerProcess

COLUMNS = [
    {"name": "company", "type": "text", "required": True},
    {"name": "price", "type": "number"},
    {"name": "seen", "type": "date"},
    {"name": "tags", "type": "json"},
]
_numbers = count(1)


class Handle:
    """A table of the test's own."""

    def __init__(self, api: Api, **more: Any) -> None:
        self.client = api.client
        self.name = f"leads {next(_numbers)}"
        answer = api.client.post("/v1/tables", json={"name": self.name, "columns": COLUMNS, **more})
        assert answer.status_code == 201, answer.text
        self.made = answer.json()
        self.url = f"/v1/tables/{self.made['id']}"

    def add(self, *rows: dict[str, Any]) -> Any:
        answer = self.client.post(f"{self.url}/rows", json=list(rows))
        assert answer.status_code == 201, answer.text
        return answer.json()["rows"]

    def names(self, query: str = "") -> list[str]:
        answer = self.client.get(f"{self.url}/rows?{query}")
        assert answer.status_code == 200, answer.text
        return [row["company"] for row in answer.json()["rows"]]

    def patch(self, **changes: Any) -> httpx.Response:
        return self.client.patch(self.url, json=changes)


@pytest.fixture
def table(api: Api) -> Iterator[Handle]:
    table = Handle(api)
    yield table
    api.client.delete(table.url)


@pytest.fixture(scope="module")
def empty_table(api: Api) -> Handle:
    """A table that no test writes to."""
    return Handle(api)


def test_a_table_is_found_by_id_and_by_name(api: Api, table: Handle):
    by_name = api.client.get(f"/v1/tables/{table.name}").json()
    assert by_name == api.client.get(table.url).json() == table.made
    assert by_name["columns"][1] == {"name": "price", "type": "number", "required": False}
    assert (by_name["row_count"], by_name["description"], by_name["pending_columns"]) == (0, None, None)
    assert table.made in api.client.get("/v1/tables").json()["tables"]
    assert api.client.get("/v1/tables", params={"name": table.name}).json()["tables"] == [table.made]


def test_a_name_is_had_once_and_is_free_again(api: Api, table: Handle):
    again = {"name": table.name, "columns": COLUMNS}
    assert api.client.post("/v1/tables", json=again).status_code == 409
    assert api.client.delete(table.url).status_code == 204
    assert api.client.get(table.url).status_code == 404
    assert api.client.get(f"{table.url}/rows").status_code == 404
    made = api.client.post("/v1/tables", json=again)
    assert made.status_code == 201
    api.client.delete(f"/v1/tables/{made.json()['id']}")


def test_one_row_answers_as_itself_and_a_list_as_rows(api: Api, table: Handle):
    one = api.client.post(f"{table.url}/rows", json={"company": "Acme", "price": 9.5, "tags": {"a": [1]}})
    assert one.status_code == 201
    row = one.json()
    assert {name: row[name] for name in ("company", "price", "seen", "tags")} == {
        "company": "Acme",
        "price": 9.5,
        "seen": None,
        "tags": {"a": [1]},
    }
    assert (row["_meta"]["created_by"], row["_meta"]["updated_by"]) == ("api:operator", "api:operator")
    many = table.add({"company": "B"}, {"company": "C"})
    assert [row["company"] for row in many] == ["B", "C"]
    assert table.names() == ["C", "B", "Acme"]
    assert api.client.get(table.url).json()["row_count"] == 3
    assert api.client.get(f"{table.url}/rows/{row['id']}").json() == row


def test_rows_are_kept_all_or_none(api: Api, table: Handle):
    answer = api.client.post(f"{table.url}/rows", json=[{"company": "A"}, {"company": "B", "price": "dear"}])
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "row 1, column price: expected a number, got text"
    assert table.names() == []
    for wrong in ([], [{"company": "x"}] * 101, [3], "x", None):
        assert api.client.post(f"{table.url}/rows", json=wrong).status_code == 400


def test_a_row_changes_in_some_columns_and_goes(api: Api, table: Handle):
    (row,) = table.add({"company": "Acme", "price": 1})
    url = f"{table.url}/rows/{row['id']}"
    changed = api.client.patch(url, json={"price": None, "seen": "2024-05-01T02:00:00+02:00"}).json()
    assert (changed["company"], changed["price"], changed["seen"]) == ("Acme", None, "2024-05-01T00:00:00.000Z")
    assert api.client.patch(url, json={"company": None}).status_code == 400
    assert api.client.patch(url, json={"colour": "red"}).json()["error"]["message"].startswith("row, column colour")
    # What was read can be sent back as it came.
    assert api.client.patch(url, json=changed).json() == changed
    assert api.client.delete(url).status_code == 204
    for method in ("GET", "PATCH", "DELETE"):
        assert api.client.request(method, url, json={}).status_code == 404


def test_rows_are_filtered_sorted_and_paged(table: Handle):
    table.add(*({"company": name, "price": price} for name, price in (("a", 3), ("b", 1), ("c", None), ("d", 2))))
    assert table.names("sort=-price") == ["a", "d", "b", "c"]
    assert table.names("sort=price&limit=2&offset=1") == ["d", "a"]
    assert table.names("filter[price][gte]=2&sort=company") == ["a", "d"]
    assert table.names("filter[price][ne]=2&sort=company") == ["a", "b", "c"]
    assert table.names("filter[price][null]=true") == ["c"]
    assert table.names("filter[company][in]=a,c&filter[price]=3") == ["a"]
    first = table.client.get(f"{table.url}/rows?sort=_meta.created_at&limit=3").json()
    assert table.names(f"sort=_meta.created_at&after={first['next_after']}") == ["d"]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("filter[colour]=red", "filter[colour]: there is no such column"),
        ("filter[price]=dear", "filter[price]: expected a number"),
        ("filter[price][near]=1", "filter[price][near]: expected one of"),
        ("filter[price][contains]=1", "only text contains"),
        ("filter[tags]=x", "json column"),
        ("filter[seen][gt]=yesterday", "filter[seen][gt]: expected a date"),
        ("filterprice=1", "filterprice: write it as"),
        ("filter[company][null]=maybe", "expected true or false"),
        ("filter[company]=%00", "NUL"),
        ("sort=colour", "sort: there is no column colour"),
        ("sort=tags", "sort: tags is a json column"),
        ("sort=price&after=3", "after: goes with the order of creation"),
        ("limit=101", "limit"),
        ("&".join(["filter[price]=1"] * 21), "filter: at most 20"),
        ("filter[price][in]=" + ",".join("1" * 101), "at most 100 values"),
    ],
)
def test_what_cannot_be_asked_names_the_parameter(api: Api, empty_table: Handle, named: str, query: str):
    answer = api.client.get(f"{empty_table.url}/rows?{query}")
    assert answer.status_code == 400
    assert named in answer.json()["error"]["message"]


def test_columns_change_under_rows_that_fit(table: Handle):
    table.add({"company": "a", "price": 1}, {"company": "b", "price": 2})
    wanted = [{"name": "company", "type": "text"}, {"name": "price", "type": "number", "required": True}]
    changed = table.patch(columns=wanted, description="Prices")
    assert changed.status_code == 200
    assert [column["name"] for column in changed.json()["columns"]] == ["company", "price"]
    assert changed.json()["description"] == "Prices"
    assert table.patch(description=None).json()["description"] is None
    assert table.client.post(f"{table.url}/rows", json={"company": "c"}).status_code == 400


def test_a_column_that_comes_again_does_not_bring_old_values_back(table: Handle):
    (row,) = table.add({"company": "a", "price": 1})
    assert table.patch(columns=[COLUMNS[0]]).status_code == 200
    assert table.patch(columns=COLUMNS).status_code == 200
    assert table.client.get(f"{table.url}/rows/{row['id']}").json()["price"] is None


def test_columns_that_a_row_does_not_fit_are_refused_with_the_row(table: Handle):
    rows = table.add({"company": "a", "price": 1}, {"company": "b"})
    refused = table.patch(columns=[COLUMNS[0], {"name": "price", "type": "number", "required": True}], name="other")
    assert refused.status_code == 409
    error = refused.json()["error"]
    assert error["rows"] == [{"row_id": rows[1]["id"], "column": "price", "message": "a value is required"}]
    now = table.client.get(table.url).json()
    assert (now["name"], now["columns"], now["pending_columns"]) == (table.name, table.made["columns"], None)


def test_a_table_takes_another_name(api: Api, table: Handle):
    other = Handle(api)
    assert table.patch(name=other.name).status_code == 409
    assert table.patch(name="a/b").status_code == 400
    assert table.patch(name=f"{table.name} x").json()["name"] == f"{table.name} x"
    assert api.client.get(f"/v1/tables/{table.name}").status_code == 404
    api.client.delete(other.url)


def test_the_same_rows_under_the_same_idempotency_key_are_kept_once(table: Handle):
    headers = {"Idempotency-Key": table.made["id"]}
    body = [{"company": "a"}, {"company": "b"}]
    first, again = (table.client.post(f"{table.url}/rows", json=body, headers=headers) for _ in range(2))
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert table.names() == ["b", "a"]
    assert table.client.post(f"{table.url}/rows", json=body[:1], headers=headers).status_code == 409


def test_a_key_is_named_as_the_one_who_wrote(api: Api, server: ServerProcess, table: Handle):
    key = api.client.post("/v1/api-keys", json={"name": "importer", "scopes": ["run"]}).json()["key"]
    with server.client(key) as client:
        row = client.post(f"{table.url}/rows", json={"company": "a"}).json()
        assert client.patch(table.url, json={"name": "x"}).status_code == 403
    assert row["_meta"]["created_by"] == "api:importer"
    api.client.patch(f"{table.url}/rows/{row['id']}", json={"company": "b"})
    meta = api.client.get(f"{table.url}/rows/{row['id']}").json()["_meta"]
    assert (meta["created_by"], meta["updated_by"]) == ("api:importer", "api:operator")
