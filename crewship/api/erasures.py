"""/v1/runs/{run_id}/data, /v1/threads/{thread_id}/data: what they hold of a person, to be destroyed."""

import asyncio
from collections.abc import Sequence

from aiohttp import web

from crewship.api.context import SERVICE, Service, author, fresh_views
from crewship.api.middleware import answer
from crewship.commands import erasing
from domain import erasure
from projections import erasures as view

WAIT_SECONDS = 30.0


async def erase_run(request: web.Request) -> web.Response:
    """DELETE /v1/runs/{run_id}/data: destroy what an ended run was given, said and left; that it was, stays.

    200 once it is gone, 202 if that takes long. What its thread remembers is the thread's.
    """
    run_id = request.match_info["run_id"]
    subjects = await erasing.erase_run(request.app[SERVICE].log, run_id, "request", author(request))
    return await _told(request, run_id, subjects)


async def erase_thread(request: web.Request) -> web.Response:
    """DELETE /v1/threads/{thread_id}/data: destroy what a thread remembers, and the data of all its runs.

    200 once it is gone, 202 if that takes long. The thread takes no more runs; one that was deleted can be erased too.
    """
    thread_id = request.match_info["thread_id"]
    subjects = await erasing.erase_thread(request.app[SERVICE].log, thread_id, "request", author(request))
    return await _told(request, thread_id, subjects)


async def _told(request: web.Request, subject_id: str, subjects: Sequence[str]) -> web.Response:
    gone = await destroyed(request.app[SERVICE], subjects)
    row = await (await fresh_views(request)).row(view.GET, subject=subject_id)
    asked_at, destroyed_at = (row["asked_at"], row["destroyed_at"]) if row else (None, None)
    told = {"id": subject_id, "erased": True, "runs": sum(one.startswith("run_") for one in subjects)}
    return answer({**told, "requested_at": asked_at, "destroyed_at": destroyed_at}, 200 if gone else 202)


async def destroyed(service: Service, subjects: Sequence[str]) -> bool:
    """Whether all of it is gone, as soon as it is, or after a time. In the past nobody destroys anything."""
    if service.log.until is not None:
        return True
    streams = [erasure.stream(subject) for subject in subjects]
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            for subject, stream in zip(subjects, streams, strict=True):
                with service.log.follower(service.log.head, (stream,)) as follower:
                    while not await erasing.destroyed(service.log, subject):
                        await follower.next()
    except TimeoutError:
        return False
    return True
