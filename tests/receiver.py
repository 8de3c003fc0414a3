"""A receiver of webhooks on loopback, in a thread of its own: it keeps what arrives and answers as it is told."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
from standardwebhooks import Webhook

DEADLINE = 30.0


@dataclass
class Arrived:
    """One request as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """What it says."""
        return msgspec.json.decode(self.body)

    def verified(self, secret: str) -> Any:
        """What it says, once the published library has verified its signature."""
        return Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """Answers with the next of `answers`, the last of them for ever: a status, and seconds to wait before it."""

    port: int = 0
    answers: list[tuple[int, float]] = field(default_factory=lambda: [(200, 0.0)])
    says: bytes = b"thanks"
    body_pause: float = 0.0
    location: str | None = None
    arrived: list[Arrived] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hook"

    def wait_for(self, count: int) -> list[Arrived]:
        """What has arrived, once it is that much."""
        deadline = time.monotonic() + DEADLINE
        while len(self.arrived) < count:
            assert time.monotonic() < deadline, self.arrived
            time.sleep(0.01)
        return self.arrived

    def next_answer(self) -> tuple[int, float]:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver

    def do_POST(self) -> None:
        receiver = self.receiver
        body = self.rfile.read(int(self.headers["Content-Length"]))
        receiver.arrived.append(Arrived(self.path, dict(self.headers.items()), body))
        status, pause = receiver.next_answer()
        receiver.released.wait(pause)
        try:
            self.send_response(status)
            if receiver.location:
                self.send_header("Location", receiver.location)
            self.send_header("Content-Length", str(len(receiver.says)))
            self.end_headers()
            receiver.released.wait(receiver.body_pause)
            self.wfile.write(receiver.says)
        except OSError:
            pass  # the sender has lost its patience

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def listening(receiver: Receiver) -> Iterator[Receiver]:
    """The receiver, open for the block; on the port that it had before, if it had one."""
    handler = type("Handler", (_Handler,), {"receiver": receiver})
    server = ThreadingHTTPServer(("127.0.0.1", receiver.port), handler)
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    receiver.released.clear()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
