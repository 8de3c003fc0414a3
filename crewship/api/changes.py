"""/v1/changes: a bell for whoever shows lists. It says what has changed, and nothing of what it is now."""

import msgspec
from aiohttp import web

from crewship.api.context import PRINCIPAL, SERVICE
from crewship.api.events import EVENTS_AT_ONCE, KEEP_ALIVE_SECONDS, streamed, write
from domain.event import Recorded, output_of
from projections.feed import event_id


async def stream(request: web.Request) -> web.StreamResponse:
    """GET /v1/changes: server-sent events from now on, `changed` with the ids of what did.

    There is no history: whoever comes back after a loss looks at everything anew. A key that is bound to deployments
    hears no ids, which may be those of others, but of what kind they are: `run_`.
    """
    log = request.app[SERVICE].log
    bound = request[PRINCIPAL].deployment_ids is not None

    async def feed(response: web.StreamResponse) -> None:
        with log.follower(log.head) as follower:
            while True:
                events = await follower.next(KEEP_ALIVE_SECONDS, EVENTS_AT_ONCE)
                if changed := sorted({_named(recorded, bound) for recorded in events if _counts(recorded)}):
                    data = msgspec.json.encode({"ids": changed})
                    name = event_id(follower.after).encode()
                    await write(response, b"event: changed\ndata: %s\nid: %s\n\n" % (data, name))
                elif not events:
                    await write(response, b": keep-alive\n\n")

    return await streamed(request, feed)


def _named(recorded: Recorded, bound: bool) -> str:
    changed = _owner(recorded)
    return f"{changed.partition('_')[0]}_" if bound else changed


def _counts(recorded: Recorded) -> bool:
    """What a run or a build says has a stream of its own; names and the like are nothing that one can look at."""
    changed = _owner(recorded)
    return "_" in changed and recorded.stream != output_of(changed)


def _owner(recorded: Recorded) -> str:
    return recorded.stream.partition(":")[0]
