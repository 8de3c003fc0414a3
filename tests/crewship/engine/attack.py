"""Two runs in local sandboxes, one of which attacks: `python -m tests.crewship.engine.attack SNAPSHOT DATA BUILT`.

Prints JSON: what each attempt came to ("refused: …" or "SUCCEEDED: …"), and how the sandbox looks from outside. Run as
root or as anybody, from the repository. BUILT is a data folder in which the version is built; it is only read. An
attempt that succeeds changes nothing outside the sandbox.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from crewship.engine.environments import LocalBuilder
from crewship.engine.journal import holder
from crewship.engine.local import LocalExecutor
from tests.conformance.executor import PROJECT, WAIT, hear, launch_of, order_of, says

SECRET = "the-servers-secret"

ATTEMPTS = r"""
import ctypes, glob, json, os, resource, socket

libc = ctypes.CDLL(None, use_errno=True)
known = json.loads(os.environ["KNOWN"])
secret = known["tercec"][::-1]  # written backwards, so that it is not found where it was handed over
server, guard, data = known["server"], known["guard"], known["data"]
result = {}


def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def attempt(what):
    def do(function):
        try:
            got = function()
        except (OSError, ValueError) as error:
            result[what] = f"refused: {error}"
        else:
            result[what] = f"SUCCEEDED: {got!r}"
    return do


def write(path):
    # Opening tells; nothing is written, so that a sandbox that fails this does no harm to the machine of its test.
    made = not os.path.exists(path)
    os.close(os.open(path, os.O_WRONLY | (os.O_CREAT if made else 0)))
    if made:
        os.unlink(path)


def chmod(path):
    os.chmod(path, os.stat(path).st_mode & 0o7777)


def need(found, why="nothing there"):
    if not found:
        raise ValueError(why)
    return found


BIND, REMOUNT = 4096, 32

for place in ("/usr", "/venv", "/runner", "/", "/etc/passwd"):
    attempt(f"remount {place}")(lambda: call("mount", b"none", place.encode(), None, REMOUNT | BIND, None))
    attempt(f"unmount {place}")(lambda: call("umount2", place.encode(), 2))
attempt("mount a tmpfs")(lambda: call("mount", b"tmpfs", b"/tmp", b"tmpfs", 0, None))
attempt("mount proc")(lambda: call("mount", b"proc", b"/tmp", b"proc", 0, None))


def in_a_child(function):
    # A process with one thread only: others may not make a user namespace in any case.
    child = os.fork()
    if child == 0:
        try:
            function()
        except OSError as error:
            os._exit(error.errno)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 0:
        raise OSError(status, os.strerror(status))


for space in (0x10000000, 0x00020000, 0x20000000, 0x40000000):
    attempt(f"unshare {space:x}")(lambda: in_a_child(lambda: call("unshare", space)))
attempt("enter the server's namespaces")(lambda: call("setns", os.open(f"/proc/{server}/ns/mnt", os.O_RDONLY), 0))
attempt("become root")(lambda: os.setuid(0))
attempt("chroot")(lambda: os.chroot("/tmp"))
attempt("make a device")(lambda: os.mknod("/tmp/sda", 0o60666, os.makedev(8, 0)))
attempt("set the host's name")(lambda: socket.sethostname(socket.gethostname()))

for path in ("sys/kernel/core_pattern", "sys/kernel/hostname", "sysrq-trigger", "sys/vm/drop_caches"):
    attempt(f"write /proc/{path}")(lambda: write(f"/proc/{path}"))
for path in ("/usr/x", "/etc/x", "/etc/passwd", "/venv/x", "/runner/x", "/runner/guard.py", "/x", "/dev/x", "/bin/x"):
    attempt(f"write {path}")(lambda: write(path))
    attempt(f"open up {path}")(lambda: chmod(path if os.path.exists(path) else os.path.dirname(path)))
attempt("write the interpreter")(lambda: write(os.path.realpath("/venv/bin/python") + ".x"))
attempt("memory beyond /dev/shm's bound")(lambda: open("/dev/shm/x", "wb").write(bytes(80 << 20)))

for process in (server, guard, known["other"]):
    attempt(f"signal {process}")(lambda: os.kill(process, 0))
    for part in ("environ", "mem", "maps", "cwd", "root", "fd", "cmdline"):
        attempt(f"look at /proc/{process}/{part}")(lambda: os.stat(f"/proc/{process}/{part}"))
attempt("trace the guard")(lambda: call("ptrace", 16, 1, None, None))
attempt("seize the guard")(lambda: call("ptrace", 0x4206, 1, None, None))
attempt("read the guard's memory")(lambda: open("/proc/1/mem", "rb").read(1))
attempt("write the guard's memory")(lambda: open("/proc/1/mem", "wb").write(b"x"))
attempt("read the guard's environment")(lambda: open("/proc/1/environ", "rb").read())
attempt("list the guard's descriptors")(lambda: os.listdir("/proc/1/fd"))
for number in range(3, 30):
    attempt(f"open the guard's descriptor {number}")(lambda: os.open(f"/proc/1/fd/{number}", os.O_RDWR))
for number in range(10):
    attempt(f"open the guard's descriptor {number}")(lambda: os.open(f"/proc/1/fd/{number}", os.O_RDONLY))
attempt("go through the guard's root")(lambda: os.listdir("/proc/1/root/"))
attempt("take the guard's descriptor")(lambda: call("syscall", 438, os.pidfd_open(1), 3, 0))
attempt("see more processes")(lambda: need(sum(n.isdigit() for n in os.listdir("/proc")) > 2))

for path in (data, f"{data}/runs", f"{data}/secret", known["built"], "/proc/1/root" + data):
    attempt(f"reach {path}")(lambda: os.stat(path))
for run_id in ("run_other", "run_1"):
    attempt(f"reach the folder of {run_id}")(lambda: os.listdir(f"{data}/runs/{run_id}"))
attempt("find the other's file")(lambda: need(os.path.exists("/tmp/others") or os.path.exists("/app/artifacts/others")))
attempt("leave by ..")(lambda: need(set(os.listdir("/app/..")) - set(os.listdir("/"))))
for path in "/var /run /sys /boot /srv /mnt /media /etc/shadow /etc/ssh /dev/sda /dev/vda /dev/mem /dev/kmsg".split():
    attempt(f"reach {path}")(lambda: os.stat(path))


def strangers():
    # Only the way to the interpreter may be there, and nothing beside it.
    way = os.path.realpath("/venv/bin/python")
    found = []
    for top in ("/root", "/home", "/opt"):
        for folder, inner, files in os.walk(top):
            if way.startswith(folder + "/") and not os.path.exists(folder + "/bin/python3"):
                found += files + [name for name in inner if not way.startswith(f"{folder}/{name}/")]
            else:
                inner.clear()
    return need(found)


attempt("see homes")(strangers)
attempt("find the server's secret")(lambda: need([
    path for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/task/*/environ")
    if os.access(path, os.R_OK) and secret.encode() in open(path, "rb").read()
] + [name for name, value in os.environ.items() if secret in value]))
attempt("hold descriptors of the server")(lambda: need([
    target for number in os.listdir("/proc/self/fd")
    for target in [os.path.realpath(f"/proc/self/fd/{number}")]
    if any(word in target for word in (data, "journal", "control", "bell", "lock", "spec"))
]))
attempt("regain capabilities")(lambda: need([
    line for line in open("/proc/self/status") if line.startswith("Cap") and int(line.split()[1], 16)
]))


def fork_much():
    children = 0
    try:
        for _ in range(200):
            if os.fork() == 0:
                import signal
                while True: signal.pause()
            children += 1
    except OSError:
        pass
    return need(children > known["processes"])


attempt("fork beyond the limit")(fork_much)
"""


async def main(snapshot: Path, data: Path, built: Path) -> dict[str, Any]:
    """Start the other run and the attacker; what came of it."""
    os.environ["SERVERS_SECRET"] = SECRET
    (data / "secret").write_text(SECRET)
    order = order_of(PROJECT, snapshot)
    executor = LocalExecutor(data, LocalBuilder(built), "attack")
    await executor.open()
    hides = "open('/tmp/others', 'w').close(); open('artifacts/others', 'w').close()\n"
    other = await executor.launch(launch_of(order, hides + WAIT, run_id="run_other"))
    await hear(other, until=says("waiting"))
    lock = data / "runs" / "run_other" / "lock"
    known = {
        "server": os.getpid(),
        "guard": holder(lock),
        "other": holder(lock),
        "data": str(data),
        "built": str(built),
    }
    env = {"KNOWN": json.dumps(known | {"tercec": SECRET[::-1], "processes": 40})}
    sandbox = await executor.launch(launch_of(order, ATTEMPTS, env=env, processes=40))
    outside = _outside(data / "runs" / "run_1" / "lock")
    told = await hear(sandbox)
    await sandbox.remove()
    alive = holder(lock) is not None
    await other.remove()
    await executor.close()
    return {
        "warning": executor.warning,
        "limits_by": executor.limits_by,
        "attempts": told.result,
        "outside": outside,
        "other alive": alive,
        "left": os.listdir(data / "runs"),
    }


def _outside(lock: Path) -> dict[str, str]:
    status = Path(f"/proc/{holder(lock)}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in status)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*map(Path, sys.argv[1:])))))
