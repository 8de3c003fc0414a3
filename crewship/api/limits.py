"""How much one may ask: a bucket a key for requests, a bucket a client's address for keys that were wrong.

A bucket fills steadily and holds as much as its limit, so that a burst is fine and an average is kept. It is one number
(the moment at which it is full again); of those that are kept, the ones longest unused go first.
"""

import hashlib
import ipaddress
import math
import time
from collections import OrderedDict
from typing import NamedTuple

from aiohttp import web

from crewship.api.context import address as address_of
from crewship.commands.keys import Keys, Principal
from crewship.config import RateLimit
from domain.errors import RateLimited, Unauthorized

MOST_KEPT = 10_000
WRONG_KEYS = RateLimit(200, 200.0)
"""A script with an old key is no attack; somebody who guesses gets one guess a second in the long run."""


class Left(NamedTuple):
    """What a bucket holds after somebody took from it. `wait` is 0, or in how many seconds there is some again."""

    limit: int
    window: float
    remaining: int
    full_in: float
    wait: float

    def headers(self) -> dict[str, str]:
        """As the IETF's draft has them, and as GitHub's."""
        reset = math.ceil(self.full_in)
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(reset),
            "RateLimit-Policy": f"{self.limit};w={math.ceil(self.window)}",
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(math.ceil(time.time()) + reset),
        }


class Buckets:
    """A bucket a name."""

    def __init__(self, limit: RateLimit) -> None:
        self._limit = limit
        self._each = limit.seconds / limit.requests
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, name: str, now: float) -> Left:
        """Take one from the bucket of that name, if it holds one. `now` is in seconds, and never runs back."""
        left = self.look(name, now, taking=1)
        if not left.wait:
            self._full_at[name] = now + left.full_in
            self._full_at.move_to_end(name)
            if len(self._full_at) > MOST_KEPT:
                self._full_at.popitem(last=False)
        return left

    def look(self, name: str, now: float, taking: int = 0) -> Left:
        """What it would hold."""
        requests, seconds = self._limit.requests, self._limit.seconds
        full_in = max(0.0, self._full_at.get(name, now) - now)
        after = full_in + self._each * taking
        if after > seconds:
            return Left(requests, seconds, 0, full_in, after - seconds)
        # The tolerance is for sums of fractions.
        return Left(requests, seconds, math.floor((seconds - after) / self._each + 1e-6), after, 0.0)


class Doorkeeper:
    """Tells who presents a key, and makes guessing slow.

    Wrong keys empty the bucket of the client's address; while it is empty only keys that were right before are looked
    at, so that those who share the address with somebody who guesses go on working.
    """

    def __init__(self, keys: Keys, limit: RateLimit | None) -> None:
        self._keys = keys
        self._requests = Buckets(limit) if limit else None
        self._wrong = Buckets(WRONG_KEYS)
        self._right: OrderedDict[bytes, None] = OrderedDict()

    async def authenticate(self, request: web.Request, presented: str) -> Principal:
        """Who presents this key; raises Unauthorized, or RateLimited where too many were wrong."""
        digest = hashlib.sha256(presented.encode()).digest()
        origin = address_of(request) or ""
        address = neighbourhood(origin)
        if digest not in self._right and (left := self._wrong.look(address, time.monotonic(), taking=1)).wait:
            raise RateLimited("Too many wrong API keys came from this address", retry_after=math.ceil(left.wait))
        try:
            principal = await self._keys.authenticate(presented, origin or None)
        except Unauthorized:
            self._right.pop(digest, None)
            self._wrong.take(address, time.monotonic())
            raise
        self._right[digest] = None
        self._right.move_to_end(digest)
        if len(self._right) > MOST_KEPT:
            self._right.popitem(last=False)
        return principal

    def admit(self, actor: str) -> Left | None:
        """Count a request of that actor, where requests are counted at all."""
        return self._requests.take(actor, time.monotonic()) if self._requests else None


DOORKEEPER = web.AppKey("doorkeeper", Doorkeeper)


def client(request: web.BaseRequest) -> str:
    """The address at the other end of the connection: of the last proxy, where there is one."""
    name = request.transport.get_extra_info("peername") if request.transport else None
    return str(name[0]) if name else ""


def neighbourhood(address: str) -> str:
    """What counts as one client: an IPv4 address, or the network that one IPv6 customer has whole."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is None:
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return address
