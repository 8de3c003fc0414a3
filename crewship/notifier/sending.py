"""One POST to an address that somebody else has chosen: bounded in time and size, and never to where it may not go.

A name is resolved here, what it resolves to is judged, and exactly that is connected to; what a socket is about to
connect to is judged once more. Redirects are not followed and proxies of the environment are not used.
"""

import asyncio
import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import aiohttp
import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_reqrep import ClientResponse
from aiohttp.typedefs import LooseHeaders

from crewship.addresses import Reach, Refused

RESPONSE_BYTES = 1024
RESPONSE_SECONDS = 1.0
MOST_LOOKUPS = 16


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a POST: a status and how the response begins, or why there is none. Times in milliseconds."""

    duration_ms: int
    status_code: int | None = None
    response: str | None = None
    error: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether it was heard: any status from 200 to 299."""
        return self.status_code is not None and 200 <= self.status_code < 300


class Sender:
    """Sends to what `reach` permits, and waits so many seconds for a status."""

    def __init__(self, reach: Reach, seconds: float) -> None:
        self._reach, self._seconds = reach, seconds

    async def open(self) -> None:
        """Make what needs a running loop."""
        self._names = _Names(self._reach)
        connector = aiohttp.TCPConnector(
            resolver=self._names,
            use_dns_cache=False,
            socket_factory=self._socket,
            limit=0,  # the couriers bound how many there are
            force_close=True,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def close(self) -> None:
        """End all that is under way."""
        await self._session.close()

    async def post(self, url: str, headers: LooseHeaders, body: bytes) -> Answer:
        """Send it; never raises for what the other side does."""
        begun = time.monotonic()
        try:
            async with (
                asyncio.timeout(self._seconds) as patience,
                self._session.post(url, data=body, headers=headers, allow_redirects=False) as response,
            ):
                taken = _since(begun)
                patience.reschedule(None)  # it has been heard; what it says about that has a limit of its own
                return Answer(
                    duration_ms=taken,
                    status_code=response.status,
                    response=await _beginning(response),
                    error=_refusal(response),
                )
        except TimeoutError:
            error = f"no answer within {self._seconds:g} s"
        except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as fault:
            error = _explained(fault)
        return Answer(duration_ms=_since(begun), error=error)

    def _socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        self._reach.check(str(address[0]))
        return socket.socket(family, kind, protocol)


class _Names(AbstractResolver):
    """Looks names up on threads of its own, and gives back only what may be connected to."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._threads = ThreadPoolExecutor(max_workers=MOST_LOOKUPS, thread_name_prefix="webhook-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a name; raises Refused where none may be connected to, and what getaddrinfo raises."""

        def look_up() -> list[tuple[int, int, str]]:
            found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
            return [(kind, protocol, str(address[0])) for kind, _, protocol, _, address in found]

        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        permitted = [place for place in found if self._reach.permits(place[2])]
        if found and not permitted:
            raise Refused(found[0][2])
        flags = socket.AI_NUMERICHOST
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=protocol, flags=flags)
            for kind, protocol, address in permitted
        ]

    async def close(self) -> None:
        """Let go of the threads; a lookup that hangs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)


async def _beginning(response: ClientResponse) -> str | None:
    """How the response begins. The status is what counts: one whose body stands still has been heard all the same."""
    data = b""
    with suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(RESPONSE_SECONDS):
            while len(data) < RESPONSE_BYTES and (piece := await response.content.read(RESPONSE_BYTES - len(data))):
                data += piece
    response.close()
    return data.decode(errors="replace").replace("\0", "") or None


def _refusal(response: ClientResponse) -> str | None:
    if 200 <= response.status < 300:
        return None
    if 300 <= response.status < 400:
        return f"answered {response.status}; redirects are not followed"
    return f"answered {response.status}"


def _explained(fault: Exception) -> str:
    cause = fault.os_error if isinstance(fault, aiohttp.ClientConnectorError) else fault
    text = str(cause).strip() or type(cause).__name__
    if isinstance(cause, socket.gaierror):
        return f"the name cannot be resolved: {cause.strerror or text}"
    return text.replace("\0", "")[:500]


def _since(begun: float) -> int:
    return round((time.monotonic() - begun) * 1000)
