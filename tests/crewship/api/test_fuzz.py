"""Whatever a client sends: a clear answer, never a 5xx, never a byte in a place that is ours."""

import gzip
import json
import re
import socket
import string
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crewship import clock
from crewship.api.app import ROUTES
from crewship.api.events import frame
from crewship.engine.snapshots import check
from domain.errors import BadRequest, TooLarge
from projections.feed import PublicEvent
from tests import projects
from tests.server import ADMIN_KEY, Api, ServerProcess

fuzzed = settings(
    max_examples=60, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
BODIES = [f"{route.method} {route.path}" for route in ROUTES if route.method in ("POST", "PUT", "PATCH")]
PLACE = re.compile(r"\{(\w+)(?::[^}]*)?\}")
# What httpx lets into a header; what it does not, test_where_a_request_ends_is_never_in_doubt sends.
HEADER_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_categories=["Cc"]), max_size=80).map(
    str.strip
)


def clear(answer: httpx.Response) -> None:
    """An answer that says what was wrong, if something was."""
    assert answer.status_code < 500, answer.text
    assert len(answer.headers["X-Request-Id"]) <= 64
    if answer.status_code >= 400:
        error = answer.json()["error"]
        assert error["code"]
        assert error["message"]


@fuzzed
@given(route=st.sampled_from(BODIES), body=st.binary(max_size=200), place=st.text(min_size=1, max_size=20))
def test_any_bytes_as_a_body(api: Api, route: str, body: bytes, place: str):
    method, _, path = route.partition(" ")
    url = PLACE.sub(lambda _: quote(place, safe=""), path)
    clear(api.client.request(method, url, content=body))


@fuzzed
@given(
    path=st.sampled_from(["/v1/runs", "/v1/threads", "/v1/deployments", "/v1/api-keys", "/v1/runs/run_0/events"]),
    query=st.dictionaries(
        st.sampled_from(["limit", "offset", "status", "deployment_id", "environment", "types", "named", "thread_id"]),
        st.text(max_size=40),
    ),
)
def test_any_text_in_a_query(api: Api, path: str, query: dict[str, str]):
    clear(api.client.get(path, params=query))


@fuzzed
@given(
    name=st.sampled_from(["Last-Event-ID", "Idempotency-Key", "Crewship-Position", "X-Request-Id", "Origin", "Range"]),
    value=HEADER_TEXT,
)
def test_any_text_in_a_header(api: Api, name: str, value: str):
    answer = api.client.post("/v1/runs", headers={name: value.encode("latin-1")}, json={"deployment_id": "nobody"})
    if answer.status_code != 503:  # a position that nobody has reached yet is waited for
        clear(answer)
    for header, text in answer.headers.items():
        assert "\n" not in text, header


@fuzzed
@given(last=st.one_of(st.text(string.printable, max_size=30), st.from_regex(r"evt_[0-9]{1,20}", fullmatch=True)))
def test_any_id_to_go_on_from(api: Api, last: str):
    clear(api.client.get("/v1/runs/run_0/events", params={"last_event_id": last}))
    clear(api.client.get("/v1/versions/ver_0/events", params={"last_event_id": last}))


@given(
    text=st.text(max_size=60) | st.sampled_from(["\r", "\n\nevent: run.completed\ndata: {}\n\n", "\u2028", "\x00"]),
    named=st.booleans(),
)
def test_nothing_that_a_project_says_ends_a_frame(text: str, named: bool):
    payload = {"level": "info", "message": text, "input": {text: [text]}}
    event = PublicEvent(position=7, type="log", timestamp=clock.iso(clock.now()), payload=payload)
    framed = frame(event, named).decode()
    assert framed.endswith("\n\n")
    lines = re.split(r"\r\n|\r|\n", framed.removesuffix("\n\n"))
    assert [line.partition(":")[0] for line in lines] == (["event"] if named else []) + ["data", "id"]
    assert lines[-1] == "id: evt_007"
    assert json.loads(lines[-2].removeprefix("data: "))["payload"] == payload


WHOLE = projects.pack(projects.PROBE)


@settings(max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_as_a_project(tmp_path: Path, data: st.DataObject):
    kind = data.draw(st.sampled_from(["bytes", "gzip of bytes", "cut", "changed", "changed inside"]))
    if kind in ("bytes", "gzip of bytes"):
        sent = data.draw(st.binary(max_size=400))
        sent = sent if kind == "bytes" else gzip.compress(sent)
    elif kind == "cut":
        sent = WHOLE[: data.draw(st.integers(0, len(WHOLE) - 1))]
    else:
        inside = bytearray(gzip.decompress(WHOLE) if kind == "changed inside" else WHOLE)
        for at in data.draw(st.lists(st.integers(0, min(len(inside), 2048) - 1), min_size=1, max_size=6)):
            inside[at] = data.draw(st.integers(0, 255))
        sent = gzip.compress(bytes(inside)) if kind == "changed inside" else bytes(inside)
    file = tmp_path / "sent"
    file.write_bytes(sent)
    try:
        checked = check(file)
    except (BadRequest, TooLarge) as refusal:
        said = refusal.message
    else:
        said = f"{checked.files} files"
    assert "\n" not in said


def raw(server: ServerProcess, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(sent)
        got = b""
        while piece := connection.recv(65536):
            got += piece
    return got


HEAD = f"POST /v1/deployments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_KEY}\r\n".encode()
SMUGGLED = b"DELETE /v1/deployments/probe HTTP/1.1\r\nHost: x\r\nX-Request-Id: smuggled\r\n\r\n"


@pytest.mark.parametrize(
    "between",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        b"Content-Length: 0\r\nContent-Length: 90\r\n\r\n",
        b"Content-Length: 0, 90\r\n\r\n",
        b"Content-Length: +0\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 0x0\r\n\r\n",
        b"Content-Length : 90\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
        b"X: y\r\n Transfer-Encoding: chunked\r\n\r\n",
        b"X: y\rTransfer-Encoding: chunked\r\n\r\n",
        b"X: \x00\r\n\r\n",
    ],
    ids=str,
)
def test_where_a_request_ends_is_never_in_doubt(server: ServerProcess, between: bytes):
    got = raw(server, HEAD + between + SMUGGLED)
    assert got.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400")), got[:300]
    assert b"smuggled" not in got
    assert got.count(b"HTTP/1.") == 1
