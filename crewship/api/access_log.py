"""The access log: a line of JSON a request, when its answer has gone out. Off unless CREWSHIP_ACCESS_LOG says where.

A line never holds a key, a query (which may hold an access_token) or the token of a webhook. It is written by a thread
of its own; what a slow disk cannot take is left out and counted, since no request waits for its line.
"""

import asyncio
import logging
import queue
import re
import sys
from logging.handlers import QueueHandler, QueueListener, WatchedFileHandler
from typing import Any

import msgspec
import structlog
from aiohttp import web

from crewship import clock
from crewship.api.context import CLIENT, PRINCIPAL, REQUEST_ID, STARTED
from crewship.api.limits import client

MOST_WAITING = 10_000
_SECRET_PLACES = re.compile(r"^(/webhooks/runs/)[^/]+")

logger = structlog.get_logger(__name__)


class _Full(QueueHandler):
    """Hands lines over; counts those for which there is no room."""

    left_out = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self.left_out += 1


class _File(WatchedFileHandler):
    """A file that may be moved away by logrotate. A full disk is no reason to fill stderr too."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


class _Stdout(logging.StreamHandler[Any]):
    """For containers."""

    def handleError(self, record: logging.LogRecord) -> None:
        pass


class AccessLog:
    """Writes to a file, or for `-` to stdout. Raises OSError if the file cannot be opened."""

    def __init__(self, where: str) -> None:
        target: logging.Handler = _Stdout(sys.stdout) if where == "-" else _File(where, encoding="utf-8")
        lines: queue.Queue[Any] = queue.Queue(MOST_WAITING)
        self._door = _Full(lines)
        self._thread = QueueListener(lines, target)
        self._target = target
        self._thread.start()

    def write(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Note a request that was answered."""
        text = msgspec.json.encode(entry(request, response)).decode()
        self._door.handle(logging.makeLogRecord({"msg": "%s", "args": (text,), "levelno": logging.INFO}))

    def close(self) -> None:
        """Write what waits."""
        self._thread.stop()
        self._target.close()
        if self._door.left_out:
            logger.warning("the access log was too slow for some of its lines", left_out=self._door.left_out)


def entry(request: web.BaseRequest, response: web.StreamResponse) -> dict[str, object]:
    """What the log says of a request. `bytes` are all that was sent, `ms` until the last of them had gone out."""
    now = asyncio.get_running_loop().time()
    principal = request.get(PRINCIPAL)
    return {
        "time": clock.iso(clock.now()),
        "method": request.method,
        "path": _SECRET_PLACES.sub(r"\1***", request.rel_url.raw_path),
        "status": response.status,
        "bytes": response.body_length,
        "ms": round((now - request.get(STARTED, now)) * 1000, 1),
        "request_id": request.get(REQUEST_ID),
        "actor": principal.actor if principal else None,
        "client": request.get(CLIENT) or client(request),
    }
