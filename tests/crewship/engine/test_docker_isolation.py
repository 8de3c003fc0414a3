"""What a run in a container can reach, what stands about it in the engine, and what one that misbehaves comes to."""

import asyncio
import json
import os
import socket

import pytest

from tests.conformance.executor import PROJECT, WAIT, hear, launch_of, order_of, says
from tests.docker import docker, opened

SECRET = "crw_secret_7Yq1"


@pytest.fixture
async def server(tmp_path, request):
    prove = "reaches" in request.node.name
    with socket.create_server(("0.0.0.0", 0)) as api, socket.create_server(("0.0.0.0", 0)) as private:
        async with opened(tmp_path / "data", "srv_isolation", api_port=api.getsockname()[1], prove=prove) as server:
            server.api_port, server.private_port = api.getsockname()[1], private.getsockname()[1]
            yield server


@pytest.fixture
async def order(server, tmp_path):
    order = order_of(PROJECT, tmp_path)
    await server.build(order)
    return order


LOOK = """
import os, socket, subprocess, urllib.request

def reach(host, port):
    try:
        socket.create_connection((host, port), 3).close()
        return "open"
    except OSError as error:
        return "closed"

def attempt(what):
    try:
        what()
        return "can"
    except OSError as error:
        return "cannot"

def status(name):
    return next(line.split(None, 1)[1].strip() for line in open("/proc/self/status") if line.startswith(name + ":"))

def kill_guard():
    os.kill(1, 9)
    open("/proc/1/stat").close()
    raise PermissionError("it lives")

def name():
    try:
        return "known" if socket.getaddrinfo("pypi.org", 443) else "unknown"
    except OSError:
        return "unknown"

mounts = [line.split() for line in open("/proc/self/mounts")]
disks = [m for m in mounts if m[2] not in ("proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "cgroup2")]
result = {
    "user": f"{os.getuid()}:{os.getgid()} {os.getgroups()}",
    "capabilities": status("CapEff") + " of " + status("CapBnd"),
    "no new privileges": status("NoNewPrivs"),
    "system calls filtered": status("Seccomp"),
    "writable disks": sorted(m[1] for m in disks if m[3].startswith("rw")),
    "read-only disks": sorted(m[1] for m in disks if m[3].startswith("ro")),
    "processes in sight": sorted(int(name) for name in os.listdir("/proc") if name.isdigit())[:2],
    "write to /": attempt(lambda: open("/written", "w")),
    "write to /runner": attempt(lambda: open("/runner/guard.py", "a")),
    "write to /venv": attempt(lambda: open("/venv/written", "w")),
    "write to /app": attempt(lambda: open("/app/written", "w").close()),
    "write to /tmp": attempt(lambda: open("/tmp/written", "w").close()),
    "write to the guard's journal": attempt(lambda: open("/proc/1/fd/1", "w")),
    "read the guard's memory": attempt(lambda: open("/proc/1/mem", "rb")),
    "read the guard's environment": attempt(lambda: open("/proc/1/environ", "rb").read()),
    "end the guard": attempt(kill_guard),
    "change the kernel's settings": attempt(lambda: open("/proc/sys/kernel/core_pattern", "w")),
    "become root": attempt(lambda: os.setuid(0)),
    "mount": "can" if subprocess.run(["mount", "-t", "tmpfs", "x", "/tmp"], capture_output=True).returncode == 0
             else "cannot",
    "new user namespace": "can" if subprocess.run(["unshare", "-Ur", "true"], capture_output=True).returncode == 0
             else "cannot",
    "the engine's socket": os.path.exists("/var/run/docker.sock"),
    "the server's API": reach(GATEWAY, API),
    "another port of the server, by the gateway": reach(GATEWAY, PRIVATE),
    "another port of the server, by its address": reach(HOST, PRIVATE),
    "ssh of the host": reach(GATEWAY, 22),
    "another run": reach(OTHER, 8000),
    "the metadata address": reach("169.254.169.254", 80),
    "a private address": reach("10.0.0.1", 80),
    "names": name(),
    "the internet": reach("pypi.org", 443),
}
"""


def shown(table: dict) -> str:
    """The table, for a human."""
    width = max(map(len, table))
    return "\n".join(f"{what:<{width}}  {answer}" for what, answer in table.items())


def _outside() -> tuple[str, bool]:
    """This machine's address on its way out, and whether it reaches the internet itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("192.0.2.1", 9))
        address = asking.getsockname()[0]
    try:
        socket.create_connection(("pypi.org", 443), 3).close()
    except OSError:
        return address, False
    return address, True


async def test_a_run_reaches_the_api_and_the_outside_and_nothing_else(server, order):
    listens = "import socket\nserver = socket.create_server(('0.0.0.0', 8000))\n"
    other = await server.executor.launch(launch_of(order, listens + WAIT, run_id="run_other"))
    await hear(other, until=says("waiting"))
    networks = json.loads(docker("inspect", other.container))[0]["NetworkSettings"]["Networks"]
    host, online = await asyncio.to_thread(_outside)
    places = {
        "GATEWAY": server.executor.gateway,
        "HOST": host,
        "OTHER": next(iter(networks.values()))["IPAddress"],
        "API": server.api_port,
        "PRIVATE": server.private_port,
    }
    code = "\n".join(f"{name} = {value!r}" for name, value in places.items()) + LOOK
    told = await hear(await server.executor.launch(launch_of(order, code)))
    table = told.result
    print(shown(table))
    assert server.executor.warning is None
    assert table["user"].split(":")[0] != "0"
    assert table["capabilities"] == "0000000000000000 of 0000000000000000"
    assert table["no new privileges"] == "1"
    assert table["system calls filtered"] == "2"
    assert table["writable disks"] == ["/app", "/tmp"]
    assert {what: answer for what, answer in table.items() if answer in ("can", "cannot", True, False)} == {
        "write to /": "cannot",
        "write to /runner": "cannot",
        "write to /venv": "cannot",
        "write to /app": "can",
        "write to /tmp": "can",
        "write to the guard's journal": "cannot",
        "read the guard's memory": "cannot",
        "read the guard's environment": "cannot",
        "end the guard": "cannot",
        "change the kernel's settings": "cannot",
        "become root": "cannot",
        "mount": "cannot",
        "new user namespace": "cannot",
        "the engine's socket": False,
    }
    assert {what: answer for what, answer in table.items() if answer in ("open", "closed")} == {
        "the server's API": "open",
        "another port of the server, by the gateway": "closed",
        "another port of the server, by its address": "closed",
        "ssh of the host": "closed",
        "another run": "closed",
        "the metadata address": "closed",
        "a private address": "closed",
        "the internet": "open" if online else "closed",
    }


async def test_without_a_network_there_is_only_the_runs_own_loopback(server, order):
    code = "import socket; result = [name for _, name in socket.if_nameindex()]"
    told = await hear(await server.executor.launch(launch_of(order, code, network="none")))
    assert told.result == ["lo"]


async def test_nothing_secret_stands_in_the_container_or_in_what_the_engine_keeps(server, order):
    launch = launch_of(order, "import os, time\nprint('waiting')\ntime.sleep(60)", env={"OPENAI_API_KEY": SECRET})
    sandbox = await server.executor.launch(launch)
    await hear(sandbox, until=says("waiting"))
    inspected = docker("inspect", sandbox.container)
    assert SECRET not in inspected
    assert "OPENAI_API_KEY" not in inspected
    assert SECRET not in docker("logs", sandbox.container)
    assert SECRET not in docker("top", sandbox.container, "ax")
    assert '"crewship.run_id": "run_1"' in inspected


BOMBS = {
    "forks without end": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "takes all memory": "hoard = []\nwhile True: hoard.append(bytearray(b'x') * (32 << 20))",
    "takes all memory in many processes": """
import os, signal
for _ in range(20):
    if os.fork() == 0:
        hoard = bytearray(b'x') * (60 << 20)
        while True: signal.pause()
while True: signal.pause()""",
    "fills the disk": """
import os
with open('/tmp/filler', 'wb') as file:
    while True: file.write(bytes(1 << 20)); file.flush()""",
    "ignores SIGTERM": """
import time
while True:
    try:
        while True: time.sleep(0.01)
    except BaseException: pass""",
    "closes its output": "import os, time\nos.close(1); os.close(2)\nwhile True: time.sleep(1)",
}
ENDS = {
    "forks without end": {"timeout"},
    "takes all memory": {"out_of_memory"},
    "takes all memory in many processes": {"out_of_memory"},
    "fills the disk": {"disk_full"},
    "ignores SIGTERM": {"timeout"},
    "closes its output": {"timeout"},
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_a_run_that_misbehaves_ends_and_says_why(server, order, bomb):
    limits = {
        "timeout": 3 if ENDS[bomb] == {"timeout"} else 30,
        "grace": 0.5,
        "memory": 256 << 20,
        "disk": 200 << 20,
        "processes": 24,
    }
    sandbox = await server.executor.launch(launch_of(order, BOMBS[bomb], run_id="run_bomb", **limits))
    told = await hear(sandbox)
    assert told.exit["reason"] in ENDS[bomb]


async def test_a_hundred_megabytes_of_output_end_in_one_warning_and_a_count(server, order):
    code = "import sys\nfor number in range(1600): sys.stdout.write('x' * 65535 + chr(10))\nresult = 'done'"
    told = await hear(await server.executor.launch(launch_of(order, code, timeout=60, logs=8 << 20)))
    assert told.result == "done"
    assert told.exit["lost_logs"] > 1000
    assert len([line for line in told.logs if "budget for logs" in line]) == 1
    assert sum(len(line["message"]) for line in told.of("log")) <= 8 << 20


async def test_characters_survive_however_the_engine_cuts_lines(server, order):
    code = "print('é' * 20_000 + '世' * 10_000 + '🚢' * 500); result = 'ü' * 100_000"
    told = await hear(await server.executor.launch(launch_of(order, code)))
    assert "é" * 20_000 in "".join(told.logs)
    assert told.result == "ü" * 100_000


async def test_a_container_that_vanishes_ends_the_lines_without_an_exit(server, order):
    sandbox = await server.executor.launch(launch_of(order, WAIT))
    await hear(sandbox, until=says("waiting"))
    hearing = asyncio.create_task(hear(sandbox))
    await asyncio.to_thread(docker, "rm", "--force", "--volumes", sandbox.container)
    told = await hearing
    assert all(line["type"] != "exit" for line in told.lines)
    assert (await sandbox.artifacts())[0] == []
    await sandbox.remove()
    assert await server.executor.held() == []


async def test_a_container_that_was_never_started_is_not_found_and_goes(server, order):
    sandbox = await server.executor.launch(launch_of(order, WAIT))
    name = json.loads(docker("inspect", sandbox.container))[0]["Name"].lstrip("/")
    await sandbox.remove()
    docker("create", "--name", name, "--label", f"crewship.server_id={server.id}", order_image(server))
    assert await server.executor.find("run_1") is None
    assert server.left() == []


def order_image(server) -> str:
    return server.images("version")[0]["Id"]


async def test_a_neighbour_of_a_fork_bomb_runs_as_if_it_was_not_there(server, order):
    bomb = await server.executor.launch(launch_of(order, BOMBS["forks without end"], run_id="run_bomb"))
    bounds = json.loads(docker("inspect", bomb.container))[0]["HostConfig"]
    assert (bounds["NanoCpus"], bounds["PidsLimit"]) == (1_000_000_000, 65)
    assert bounds["MemorySwap"] == bounds["Memory"] == (512 + 64) << 20
    forks = "import subprocess\nresult = [subprocess.run(['true']).returncode for _ in range(20)]"
    told = await hear(await server.executor.launch(launch_of(order, forks, run_id="run_neighbour")))
    assert told.result == [0] * 20
    await bomb.kill()


async def test_a_container_whose_spec_never_came_is_not_found_and_goes(server, order):
    launch = launch_of(order, WAIT)
    container = await server.executor._create(launch, await server.builder.find(order), warm=False)
    async with server.engine.fed(container, b'{"run_id": "run_1", "env": {"HALF'):
        await server.engine.json("POST", f"containers/{container}/start")
    assert await server.executor.find("run_1") is None
    assert server.left() == []


async def test_a_run_shares_all_processors_and_is_held_by_its_quota(server, order):
    told = await hear(
        await server.executor.launch(launch_of(order, "import os\nresult = len(os.sched_getaffinity(0))"))
    )
    assert told.result == len(os.sched_getaffinity(0))
