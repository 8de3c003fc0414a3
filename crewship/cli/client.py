"""The server's HTTP API as the commands use it: one request in, its JSON out, every failure an error that helps."""

import ipaddress
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self
from urllib.parse import quote, urlsplit

import click
import httpx

from crewship.cli import credentials, terminal
from crewship.cli.errors import Broken, CommandError, Mistake, NoServer, Refused

Body = Callable[[], Iterator[bytes]]
# A server that starts or is overloaded answers 503: how long to keep asking, in seconds.
PATIENCE = 30.0
CONNECT = 5.0
TRIES = 3
ANSWER = 90.0


class Client:
    """Speaks to one server. Answers are decoded JSON, None for an empty one."""

    def __init__(self, url: str, key: str | None, pause: Callable[[float], None] = time.sleep) -> None:
        self.url = url.rstrip("/")
        self.pause = pause
        if urlsplit(self.url).scheme not in ("http", "https") or not urlsplit(self.url).hostname:
            raise Mistake(f"{url!r} is not the address of a server: it looks like http://127.0.0.1:4700")
        headers = {"User-Agent": "crewship-cli", "Accept": "application/json"}
        if key:
            if not key.isascii() or not key.isprintable() or " " in key:
                raise Mistake("the API key holds characters that no key has: run `crewship login`")
            headers["Authorization"] = f"Bearer {key}"
        # A server on this machine is never asked through the proxy that the environment names.
        self.http = httpx.Client(
            base_url=self.url,
            headers=headers,
            timeout=httpx.Timeout(ANSWER, connect=CONNECT),
            trust_env=not _on_this_machine(self.url),
        )
        if command := click.get_current_context(silent=True):
            command.call_on_close(self.http.close)

    @classmethod
    def connect(cls) -> Self:
        """The client of the server that the environment or the last login names."""
        try:
            url, key = credentials.load()
        except credentials.CredentialsError as error:
            raise Mistake(f"{error}: run `crewship login`") from None
        return cls(url, key)

    def get(self, *path: str, **params: Any) -> Any:
        """GET; parameters that are None are left out."""
        return self.ask("GET", *path, params=params)

    def post(self, *path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """POST of a JSON body."""
        return self.ask("POST", *path, json={} if body is None else body, headers=headers)

    def post_once(self, *path: str, body: Any) -> Any:
        """POST that is tried again when the connection breaks: under one Idempotency-Key it counts once."""
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        for attempt in range(1, TRIES):
            try:
                return self.post(*path, body=body, headers=headers)
            except Broken:
                self.pause(attempt)
        return self.post(*path, body=body, headers=headers)

    def put(self, *path: str, body: Any) -> Any:
        """PUT of a JSON body."""
        return self.ask("PUT", *path, json=body)

    def delete(self, *path: str) -> Any:
        """DELETE."""
        return self.ask("DELETE", *path)

    def upload(self, *path: str, content: Body, length: int, params: dict[str, Any]) -> Any:
        """POST of a gzipped tar, streamed; `content` is called anew for another try."""
        headers = {"Content-Type": "application/gzip", "Content-Length": str(length)}
        return self.ask("POST", *path, content=content, headers=headers, params=params)

    def ask(self, method: str, *path: str, params: dict[str, Any] | None = None, **request: Any) -> Any:
        """One request, asked again for a while as long as the server says that it is not ready."""
        content: Body | None = request.pop("content", None)
        given = {name: value for name, value in (params or {}).items() if value is not None}
        started, wait = time.monotonic(), 0.5
        while True:
            if content is not None:
                request["content"] = content()
            with self.reaching():
                answer = self.http.request(method, url(*path), params=given, **request)
            if answer.status_code != 503 or time.monotonic() - started > PATIENCE:
                return _decoded(answer)
            self.pause(wait)
            wait = min(wait * 2, 5.0)

    @contextmanager
    def stream(self, *path: str, params: dict[str, Any] | None = None, **request: Any) -> Iterator[httpx.Response]:
        """An answer that is read piece by piece; an error of the server is raised."""
        with self.reaching(), self.http.stream("GET", url(*path), params=params or {}, **request) as answer:
            if answer.is_error:
                answer.read()
                raise refusal(answer)
            yield answer

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """What httpx says of the network, said so that one knows what to do."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            if "CERTIFICATE" in str(error).upper():
                raise NoServer(f"the certificate of {self.url} is not trusted: {error}") from None
            raise NoServer(
                f"no server answers at {self.url}: start one with `crewship serve` or set CREWSHIP_URL"
            ) from None
        except httpx.TimeoutException:
            raise Broken(f"{self.url} took too long to answer: try again") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Broken(f"the connection to {self.url} broke: {error or type(error).__name__}") from None


def url(*path: str) -> str:
    """The path of that thing under /v1, each part quoted."""
    return "/v1/" + "/".join(quote(part, safe="") for part in path)


def refusal(answer: httpx.Response) -> Refused:
    """The error that the server answered with, and what helps."""
    message, code = f"{answer.status_code} {answer.reason_phrase}", ""
    try:
        error = answer.json()["error"]
        message, code = str(error["message"]), str(error.get("code", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        message = f"the server answered {message}"
    hint = ""
    if answer.status_code == 401:
        hint = ": run `crewship login`, or set CREWSHIP_API_KEY"
    elif answer.status_code == 403:
        hint = " (this key's scopes do not reach so far: use another key, see `crewship keys create --help`)"
    elif answer.status_code == 503:
        hint = " (the server is not ready: try again in a moment)"
    return Refused(terminal.harmless(message.strip().rstrip(".")) + hint, answer.status_code, code)


def _decoded(answer: httpx.Response) -> Any:
    if answer.is_error:
        raise refusal(answer)
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError:
        raise CommandError(f"{answer.url} does not answer like a Crewship server: check CREWSHIP_URL") from None


def _on_this_machine(address: str) -> bool:
    host = urlsplit(address).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
