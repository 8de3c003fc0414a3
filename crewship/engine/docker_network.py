"""The network that runs are in: a bridge of this server's own, and the rules that close the host and its neighbours.

Docker's own switches keep containers from each other (icc off) and nothing else: through the gateway every one reaches
whatever the host listens on, and what it can route to. So there are two chains of rules for what comes in over that
bridge: for what goes on to elsewhere (from DOCKER-USER), and for what is meant for the host itself (from INPUT).
"""

import asyncio
import hashlib
import ipaddress
import os
import re
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from crewship.engine import docker_state
from crewship.engine.docker_engine import Engine, EngineRefused

# What is not the public internet. A run reaches none of it but what it is allowed by name.
CLOSED = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.0.0.0/24", "192.168.0.0/16", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4"),
)
_SECONDS = 20.0
_ALLOWED = re.compile(r"(?P<address>[\d./]+)(?::(?P<port>\d{1,5}))?")


class BadRule(ValueError):
    """An entry of the allow list that is none; the message shows it."""


class Allowed(msgspec.Struct, frozen=True):
    """An address or range that runs may reach beside the public ones; one TCP port of it, or all (None)."""

    address: str
    port: int | None


def allowed(text: str) -> Allowed:
    """Read an entry like `10.1.2.3`, `10.1.2.0/24` or `10.1.2.3:5432`. Raises BadRule."""
    match = _ALLOWED.fullmatch(text.strip())
    try:
        if match is None:
            raise ValueError(text)
        port = int(match["port"]) if match["port"] else None
        if port is not None and not 0 < port < 65536:
            raise ValueError(text)
        return Allowed(str(ipaddress.IPv4Network(match["address"], strict=False)), port)
    except ValueError:
        raise BadRule(f"{text!r} is not an address like 10.1.2.3, 10.1.2.0/24 or 10.1.2.3:5432") from None


class Network:
    """A bridge of the server `server_id`, named by its `purpose`.

    After `open`: `gateway`, the host's address on it; `problem`, why the host and private ranges are not closed (None:
    they are, but for the API's port on the gateway and what is allowed). It stays when the server ends, since runs go
    on.
    """

    def __init__(
        self, engine: Engine, server_id: str, purpose: str, *, api_port: int | None = None, allow: Sequence[str] = ()
    ) -> None:
        short = hashlib.sha256(f"{server_id} {purpose}".encode()).hexdigest()[:8]
        self.name = f"crewship-{short}"
        self.bridge = f"cw-{short}"  # an interface's name has at most 15 characters
        self.gateway = ""
        self.subnet = ""
        self.problem: str | None = None
        self._engine, self.server_id, self._api_port = engine, server_id, api_port
        self._allow = [allowed(entry) for entry in allow]
        self._out, self._in = f"CREWSHIP-{short}", f"CREWSHIP-IN-{short}"

    async def open(self) -> None:
        """Make the bridge and set its rules, or find both. Raises EngineAway, EngineRefused."""
        found = await self._inspect() or await self._create()
        place = found["IPAM"]["Config"][0]
        self.subnet = place["Subnet"]
        self.gateway = place.get("Gateway") or str(ipaddress.IPv4Network(self.subnet)[1])
        self.problem = await self._close_off()

    async def _inspect(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = await self._engine.json("GET", f"networks/{self.name}")
        except EngineRefused as refused:
            if refused.status == 404:
                return None
            raise
        return found

    async def _create(self) -> dict[str, Any]:
        body = {
            "Name": self.name,
            "Driver": "bridge",
            "CheckDuplicate": True,
            "EnableIPv6": False,
            "Labels": {docker_state.SERVER: self.server_id},
            "Options": {
                "com.docker.network.bridge.name": self.bridge,
                "com.docker.network.bridge.enable_icc": "false",
                "com.docker.network.bridge.enable_ip_masquerade": "true",
            },
        }
        await self._engine.json("POST", "networks/create", body=body)
        found = await self._inspect()
        assert found is not None
        return found

    async def _close_off(self) -> str | None:
        if not self._engine.local_socket:
            return "the Docker engine is on another machine, whose rules this server cannot set"
        if os.geteuid() != 0:
            return "only root can set rules, and this server is not root"
        if shutil.which("iptables-restore") is None:
            return "iptables is not installed"
        if not await asyncio.to_thread(Path("/sys/class/net", self.bridge).exists):
            return "the engine's bridges are not to be seen from here"
        if said := await _told(["iptables-restore", "--wait", "10", "--noflush"], self._rules()):
            return f"iptables refused the rules: {said}"
        for chain, ours in (("DOCKER-USER", self._out), ("INPUT", self._in)):
            jump = [chain, "-i", self.bridge, "-j", ours]
            if not await _told(["iptables", "--wait", "10", "-C", *jump]):
                continue  # it is there
            if said := await _told(["iptables", "--wait", "10", "-I", *jump]):
                return f"iptables refused a rule: {said}"
        return None

    def _rules(self) -> str:
        """Both chains as iptables-restore reads them, which sets them in one step and anew."""
        servers = _name_servers()
        names = [f"-d {server} -p {kind} --dport 53" for server in servers for kind in ("udp", "tcp")]
        more = [f"-d {a.address}" + (f" -p tcp --dport {a.port}" if a.port else "") for a in self._allow]
        answers = "-m conntrack --ctstate ESTABLISHED,RELATED"
        api = [] if self._api_port is None else [f"-d {self.gateway} -p tcp --dport {self._api_port}"]
        lines = ["*filter", f":{self._out} - [0:0]", f":{self._in} - [0:0]"]
        lines += [f"-A {self._out} {rule} -j RETURN" for rule in (answers, *names, *more)]
        lines += [f"-A {self._out} -d {closed} -j REJECT" for closed in CLOSED]
        lines += [f"-A {self._in} {rule} -j ACCEPT" for rule in (answers, *api, *names, *more)]
        lines += [f"-A {self._in} -j REJECT"]
        return "\n".join([*lines, "COMMIT", ""])

    async def remove(self) -> None:
        """Take away the bridge and its rules; it must be empty. For what will not come back: tests, uninstalling."""
        try:
            await self._engine.json("DELETE", f"networks/{self.name}")
        except EngineRefused as refused:
            if refused.status != 404:
                raise
        for chain, ours in (("DOCKER-USER", self._out), ("INPUT", self._in)):
            await _told(["iptables", "--wait", "10", "-D", chain, "-i", self.bridge, "-j", ours])
            await _told(["iptables", "--wait", "10", "-F", ours])
            await _told(["iptables", "--wait", "10", "-X", ours])


def addresses_of(urls: Sequence[str]) -> list[str]:
    """Entries for the allow list: the hosts of these URLs, where they are in a range that is closed. Blocks."""
    found = []
    for url in urls:
        parts = urlsplit(url)
        try:
            port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
            known = socket.getaddrinfo(parts.hostname, port, socket.AF_INET, socket.SOCK_STREAM) if port else []
        except (OSError, ValueError):
            continue  # a name that nobody knows, or no URL: the build will say so
        for address in (str(place[4][0]) for place in known):
            if any(ipaddress.ip_address(address) in ipaddress.ip_network(closed) for closed in CLOSED):
                found.append(f"{address}:{port}")
    return found


def _name_servers() -> list[str]:
    """The name servers that containers ask through the engine: this machine's, but those on its own loopback."""
    found = []
    try:
        lines = Path("/etc/resolv.conf").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        words = line.split()
        if len(words) > 1 and words[0] == "nameserver":
            try:
                address = ipaddress.ip_address(words[1])
            except ValueError:
                continue
            if address.version == 4 and not address.is_loopback:
                found.append(str(address))
    return found


async def _told(command: Sequence[str], given: str = "") -> str:
    """Run a command of the system: empty if it went well, else what it complained of."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_SECONDS):
            _, said = await process.communicate(given.encode())
    except TimeoutError:
        return "it took too long"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return "" if process.returncode == 0 else said.decode(errors="replace").strip()[-300:] or "it failed"
