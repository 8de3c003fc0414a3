"""The description of the API: whole, true to the table of routes, and to be read."""

import json
import re

import pytest

from crewship.api.app import ROUTES
from crewship.api.descriptions import ABOUT
from crewship.api.openapi import build, public_path, said
from tests.server import Api, ServerProcess

DOCUMENT = build(ROUTES, ABOUT)
# These look by themselves at more than a key: a token for one stream, or whether this machine itself asks.
BY_ITSELF = {"/v1/runs/{run_id}/events", "/metrics"}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_says_what_it_does_takes_and_gives(route):
    summary, _ = said(route)
    assert summary, f"the docstring of {route.handler.__name__} must begin: {route.method} {route.path}: what it does."
    assert route.handler in ABOUT, (
        f"{route.handler.__module__}.{route.handler.__name__} lacks a line in descriptions.py"
    )
    assert route.scope is not None or ABOUT[route.handler].open or route.path in BY_ITSELF


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_docstring_names_its_own_route(route):
    named = (route.handler.__doc__ or "").partition(": ")[0]
    assert named == f"{route.method} {public_path(route.path)}"


def test_nothing_is_described_that_is_not_there():
    assert set(ABOUT) == {route.handler for route in ROUTES}


def test_operations_have_names_of_their_own():
    names = [one["operationId"] for methods in DOCUMENT["paths"].values() for one in methods.values()]
    assert len(names) == len(set(names)) == len(ROUTES)


def test_every_reference_leads_somewhere():
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(DOCUMENT)))
    assert named == set(DOCUMENT["components"]["schemas"])


def test_bodies_are_described_by_what_decodes_them():
    schema = DOCUMENT["components"]["schemas"]["RunThread"]["properties"]
    assert set(schema["on_busy"]["enum"]) == {"reject", "enqueue", "cancel"}
    assert DOCUMENT["paths"]["/v1/api-keys"]["post"]["requestBody"]["required"] is True
    assert DOCUMENT["paths"]["/v1/deployments/{deployment}/promote"]["post"]["requestBody"]["required"] is False


def test_both_forms_are_served_to_everybody(server: ServerProcess):
    with server.client(None) as client:
        assert client.get("/openapi.json").json() == DOCUMENT
        page = client.get("/docs")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for path in DOCUMENT["paths"]:
        assert f"<code>{path}</code>" in page.text
    assert "<script" not in page.text


def test_an_error_names_its_request(api: Api):
    for answer in (api.client.get("/v1/runs/run_0"), api.client.put("/v1/runs"), api.client.get("/nowhere")):
        assert answer.json()["error"]["request_id"] == answer.headers["X-Request-Id"]
