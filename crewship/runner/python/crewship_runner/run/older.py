"""The checkpoints of a thread that lie further back than where a run starts, for a graph that asks for them."""

from __future__ import annotations

import json
import os
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

TIMEOUT = 60.0  # seconds for one answer
TRIES = 5  # a server that restarts is back within a few seconds
PAGE = 20


def given(thread: dict[str, Any], ns: str | None, checkpoint_id: str | None) -> Iterator[dict[str, Any]]:
    """Those that the spec brought along, the latest first."""
    for each in thread.get("older") or []:
        if ns in (None, each["ns"]) and checkpoint_id in (None, each["checkpoint_id"]):
            yield each


def asked(thread_id: str, ns: str | None, checkpoint_id: str | None) -> Iterator[dict[str, Any]]:
    """Those that the server has, the latest first, page by page. Raises OSError, and ValueError for an odd answer."""
    query = {"ns": ns, "checkpoint_id": checkpoint_id, "limit": str(PAGE)}
    while True:
        page = _ask(thread_id, {name: value for name, value in query.items() if value is not None})
        yield from page["checkpoints"]
        if not page["more"]:
            return
        query["before"] = page["checkpoints"][-1]["checkpoint_id"]


def _ask(thread_id: str, query: dict[str, str]) -> Any:
    url, key = os.environ.get("CREWSHIP_API_URL"), os.environ.get("CREWSHIP_API_KEY")
    if not url or not key:
        raise OSError("CREWSHIP_API_URL and CREWSHIP_API_KEY are not set any more")
    address = f"{url}/v1/threads/{urllib.parse.quote(thread_id)}/checkpoints?{urllib.parse.urlencode(query)}"
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {key}"})  # noqa: S310 - the server's
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    left = TRIES
    while True:
        left -= 1
        try:
            with opener.open(request, timeout=TIMEOUT) as answer:
                return json.load(answer)
        except OSError as error:  # HTTP's errors are among them
            if not left or getattr(error, "code", 503) != 503:
                raise
        time.sleep(1.0)
