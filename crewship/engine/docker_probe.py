"""Proves, by trying, what a run can reach: the rules of the network hold, or the operator is told that they do not."""

import asyncio
import contextlib
import json
import secrets
import socket
from typing import Any

from crewship.engine import docker_state
from crewship.engine.docker_engine import Engine, EngineRefused, frames
from crewship.engine.docker_network import Network

_SECONDS = 30.0

# Tries to connect to each [host, port], and says what came of it: "open", or the error.
_PROGRAM = """
import json, socket, sys, threading
found = {}
def attempt(host, port):
    try:
        socket.create_connection((host, port), 2).close()
        found["%s:%d" % (host, port)] = "open"
    except OSError as error:
        found["%s:%d" % (host, port)] = type(error).__name__
threads = [threading.Thread(target=attempt, args=place) for place in json.loads(sys.argv[1])]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(json.dumps(found))
"""


async def problem(engine: Engine, network: Network, image: str) -> str | None:
    """What a run could reach of this machine though it must not; None if nothing. The engine is on this machine."""
    with contextlib.ExitStack() as stack:
        wanted: list[tuple[str, int]] = [("169.254.169.254", 80)]
        for address in {network.gateway, *await asyncio.to_thread(_own_addresses)}:
            with contextlib.suppress(OSError):  # an address that went away
                listening = stack.enter_context(socket.create_server((address, 0)))
                wanted.append((address, listening.getsockname()[1]))
        found = await _try(engine, network, image, wanted)
    if found is None:
        return "the probe of the network said nothing"
    reached = sorted(place for place, answer in found.items() if answer == "open")
    return f"runs can reach {', '.join(reached)}" if reached else None


def _own_addresses() -> set[str]:
    """The address of this machine on its way out, if it has one. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))
        except OSError:
            return set()
        return {str(asking.getsockname()[0])}


async def _try(engine: Engine, network: Network, image: str, places: list[tuple[str, int]]) -> dict[str, Any] | None:
    name = f"crewship-probe-{secrets.token_hex(8)}"
    config = {
        "Image": image,
        "Entrypoint": ["python3", "-I", "-S", "-c", _PROGRAM, json.dumps(places)],
        "Cmd": [],
        "User": "65534:65534",
        "Labels": {docker_state.SERVER: network.server_id, docker_state.KIND: "probe"},
        "HostConfig": {
            "NetworkMode": network.name,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "ReadonlyRootfs": True,
            "LogConfig": {"Type": "json-file", "Config": {}},
        },
    }
    try:
        async with asyncio.timeout(_SECONDS):
            await engine.json("POST", "containers/create", query={"name": name}, body=config)
            await engine.json("POST", f"containers/{name}/start")
            said = b""
            query = {"follow": True, "stdout": True, "stderr": False}
            async with engine.stream(f"containers/{name}/logs", query) as pieces:
                async for batch in frames(pieces):
                    said += b"".join(data for _, data in batch)
        found: dict[str, Any] = json.loads(said)
        return found
    except (EngineRefused, TimeoutError, ValueError):
        return None
    finally:
        await docker_state.discard(engine, name)
