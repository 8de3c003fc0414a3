"""Idempotency-Key: a request that is repeated is carried out once."""

import msgspec
from aiohttp import web

from crewship.api.context import PRINCIPAL
from crewship.commands.idempotency import Idempotency
from crewship.commands.idempotency import idempotency as keyed
from domain.errors import BadRequest


def idempotency(request: web.Request, fingerprinted: bytes) -> Idempotency | None:
    """What the request's Idempotency-Key stands for, if it has one. `fingerprinted` tells it from other requests."""
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return None
    if not 1 <= len(given) <= 255 or not given.isascii():
        raise BadRequest("Idempotency-Key: 1 to 255 ASCII characters")
    return keyed(request[PRINCIPAL].actor, given, fingerprinted)


def repeatable(request: web.Request, wanted: object) -> Idempotency | None:
    """The same, told from others by the route and by what is wanted of it."""
    route = f"{request.method} {request.path}\n".encode()
    return idempotency(request, route + msgspec.json.encode(wanted, order="deterministic"))
