"""What nobody well-meaning sends."""

import socket
import threading

import httpx
import pytest

from tests.server import ADMIN_KEY, Api, ServerProcess


def nested(depth: int) -> bytes:
    return b'{"deployment_id":"probe","input":{"a":' + b"[" * depth + b"]" * depth + b"}}"


@pytest.mark.parametrize("depth", [126, 127, 200, 900, 968, 5000])
def test_deep_json_is_refused_at_the_door_and_breaks_no_list(api: Api, depth: int):
    answer = api.client.post("/v1/runs", content=nested(depth))
    assert answer.status_code == (202 if depth <= 126 else 400), answer.text
    if depth <= 126:
        run = api.wait(answer.json()["run_id"])
        assert list(api.events(f"/v1/runs/{run['id']}/events"))[-1]["event"] == "run.completed"
    else:
        assert "nested" in answer.json()["error"]["message"]
    assert api.client.get("/v1/runs").status_code == 200


def test_output_that_is_nested_deep_breaks_no_list(api: Api):
    run = api.run("probe", ["deep", 900])
    assert run["status"] == "succeeded"
    assert api.client.get("/v1/runs").status_code == 200
    assert list(api.events(f"/v1/runs/{run['id']}/events"))[-1]["event"] == "run.completed"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"deployment_id":"\xff"}', 400),
        (b'{"deployment_id":"\\ud800"}', 400),
        (b'{"deployment_id":"\\u0000"}', 404),
        (b'{"deployment_id":"probe","input":{"a":1e400}}', 400),
        (b'{"deployment_id":"probe","input":{"a":NaN}}', 400),
        (b'{"deployment_id":"' + b"x" * 1_000_000 + b'"}', 404),
        (b"null", 400),
        (b"[]", 400),
    ],
)
def test_odd_bodies_get_a_clear_no(api: Api, body: bytes, status: int):
    answer = api.client.post("/v1/runs", content=body)
    assert answer.status_code == status, answer.text
    assert len(answer.content) < 2000


def test_odd_headers_get_a_clear_no(api: Api, server: ServerProcess):
    odd = {"Authorization": b"Bearer csk_\xff_\xff", "Idempotency-Key": b"\xff", "Content-Encoding": b"gzip"}
    for name, value in odd.items():
        headers: dict[str, bytes] = {"Authorization": f"Bearer {ADMIN_KEY}".encode(), name: value}
        answer = httpx.post(f"{server.url}/v1/runs", headers=headers, content=b'{"deployment_id":"probe"}')
        assert answer.status_code in (400, 401), (name, answer.text)
        assert "error" in answer.json()


def test_a_wrong_value_of_a_query_is_named(api: Api):
    run = api.run("probe", ["say", 1])
    for path in ("/v1/runs?environment=moon", f"/v1/runs/{run['id']}/events?types=nonsense"):
        answer = api.client.get(path)
        assert answer.status_code == 400
        assert ("environment" in answer.text) or ("nonsense" in answer.text)
    assert api.client.get(f"/v1/runs/{run['id']}/events?named=perhaps").status_code == 400


def test_an_upload_that_breaks_off_leaves_nothing(api: Api, server: ServerProcess):
    api.client.post("/v1/deployments", json={"name": "broken-off"})
    connection = socket.create_connection(("127.0.0.1", server.port))
    head = f"POST /v1/deployments/broken-off/versions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_KEY}\r\n"
    connection.sendall(head.encode() + b"Content-Length: 1000000\r\n\r\n" + b"x" * 1000)
    connection.close()
    assert api.client.get("/v1/deployments/broken-off/versions").json() == {"versions": []}
    incoming = server.data / "blobs" / "incoming"
    for _ in range(500):
        if not list(incoming.iterdir()):
            break
        threading.Event().wait(0.02)
    assert not list(incoming.iterdir())


def test_a_deployment_is_deleted_or_takes_runs_never_both(api: Api):
    for number in range(5):
        name = f"contested-{number}"
        api.deploy(name)
        answers: list[httpx.Response] = []
        barrier = threading.Barrier(7)

        def post(
            name: str = name, answers: list[httpx.Response] = answers, barrier: threading.Barrier = barrier
        ) -> None:
            barrier.wait()
            answers.append(api.client.post("/v1/runs", json={"deployment_id": name}))

        posts = [threading.Thread(target=post) for _ in range(6)]
        for thread in posts:
            thread.start()
        barrier.wait()
        deleted = api.client.delete(f"/v1/deployments/{name}")
        for thread in posts:
            thread.join()
        accepted = [answer.json()["run_id"] for answer in answers if answer.status_code == 202]
        runs = [api.client.get(f"/v1/runs/{run_id}").json() for run_id in accepted]
        if deleted.status_code == 204:
            assert all(run["status"] == "succeeded" for run in runs)
        else:
            assert deleted.status_code == 409
        for run_id in accepted:
            api.wait(run_id)


def test_names_that_look_like_ids_are_kept_for_ids(api: Api):
    assert api.client.post("/v1/deployments", json={"name": "dep_x"}).status_code == 400
