"""bubblewrap command lines: what code that is not ours gets to see, and as whom it runs.

Started by root, bubblewrap alone is no sandbox: the real user stays 0, and what the kernel checks by it (writing below
`/proc/sys`, process limits) is open. So a server that is root becomes an unprivileged user first. That user cannot
reach what lies below a closed folder (a data folder of mode 0700, an interpreter in root's home), therefore the mounts
are staged: in a private mount namespace a small tmpfs covers a folder that nothing needs, each needed source is bound
below it, and bubblewrap takes it from there. Nobody outside that namespace sees any of it.
"""

import os
import secrets
import shlex
import shutil
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

# Who the code is inside; outside it is the server's user, or one that stands for this run alone.
INNER_USER = 1000
_SHARED_MEMORY = 64 * 1024 * 1024  # bytes of /dev/shm: it is memory, whatever else bounds it
_STAGES = ("/mnt", "/media", "/srv", "/opt", "/home")
_USERS = (
    "root:x:0:0:root:/:/bin/false\ncrewship:x:1000:1000:crewship:/tmp:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
)
_GROUPS = "root:x:0:\ncrewship:x:1000:\nnogroup:x:65534:\n"

# Of the host's /etc: how names are resolved, whom TLS trusts, where libraries lie, what time it is. No secret among it.
_ETC = (
    "ssl/certs",
    "ssl/openssl.cnf",
    "ca-certificates",
    "pki/tls/certs",
    "pki/tls/cert.pem",
    "pki/tls/openssl.cnf",
    "pki/ca-trust/extracted",
    "crypto-policies",
    "resolv.conf",
    "hosts",
    "host.conf",
    "nsswitch.conf",
    "gai.conf",
    "services",
    "protocols",
    "localtime",
    "timezone",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "alternatives",
    "mime.types",
)


class Mount(msgspec.Struct, frozen=True):
    """A folder or file of the host and where it is seen inside, for reading alone unless said otherwise."""

    source: Path
    target: str
    writable: bool = False


class Jail(msgspec.Struct, frozen=True, kw_only=True):
    """A sandbox to be made.

    `identity` is the user and group id to become first, None to stay who the server is. `identities` is the folder
    that `write_identities` filled. `groups` are cgroups to enter. `bound` ties its life to that of the thread that
    starts it; else it outlives the server.
    """

    mounts: tuple[Mount, ...]
    directory: str
    identities: Path
    network: bool
    identity: int | None = None
    groups: tuple[Path, ...] = ()
    bound: bool = False


def write_identities(folder: Path) -> None:
    """Write the passwd and group files that every sandbox sees."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("passwd", _USERS), ("group", _GROUPS)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)


def command(jail: Jail, program: Sequence[str]) -> list[str]:
    """The command that runs `program` in the jail. Environment: none of it gets in."""
    # Mounts of the server's own files come last, in their order, so that one can lie within another.
    mounts = (*_identity_mounts(jail.identities), *jail.mounts)
    if jail.identity is None:
        return enter_groups(jail.groups, _bubblewrap(jail, mounts, program))
    stage = _stage(mounts)
    script, staged = _staging(stage, mounts)
    identity = str(jail.identity)
    drop = ["setpriv", "--reuid", identity, "--regid", identity, "--clear-groups", "--"]
    inner = [*drop, *_bubblewrap(jail, staged, program)]
    lines = [*_entering(jail.groups), *script, 'exec "$@"']
    return [*_private_mounts(), "/bin/sh", "-ec", "\n".join(lines), "sh", *inner]


def enter_groups(groups: Sequence[Path], program: Sequence[str]) -> list[str]:
    """The command that enters the cgroups and becomes `program`."""
    if not groups:
        return list(program)
    return ["/bin/sh", "-ec", "\n".join([*_entering(groups), 'exec "$@"']), "sh", *program]


def _entering(groups: Sequence[Path]) -> list[str]:
    return [f"echo $$ > {shlex.quote(str(group / 'cgroup.procs'))}" for group in groups]


def _private_mounts() -> list[str]:
    return ["unshare", "--mount", "--propagation", "private", "--"]


def _identity_mounts(folder: Path) -> tuple[Mount, ...]:
    return Mount(folder / "passwd", "/etc/passwd"), Mount(folder / "group", "/etc/group")


def _stage(mounts: Sequence[Mount]) -> str:
    """A folder of the host that none of the sources needs."""
    for candidate in _STAGES:
        needed = any(candidate == str(parent) for mount in mounts for parent in _chain(mount.source))
        if not needed and Path(candidate).is_dir() and not Path(candidate).is_symlink():
            return candidate
    raise OSError(f"none of {', '.join(_STAGES)} is free to be covered while a sandbox is prepared")


def _staging(stage: str, mounts: Sequence[Mount]) -> tuple[list[str], list[Mount]]:
    """Shell lines that bind below `stage` what everybody cannot reach, and the mounts as they are then."""
    lines = [f"mount -t tmpfs -o mode=0755,size=1m,nodev,nosuid tmpfs {stage}"]
    staged: list[Mount] = []
    for number, mount in enumerate(mounts):
        if _open_to_all(mount.source):
            staged.append(mount)
            continue
        place = f"{stage}/{number}"
        make = "mkdir" if mount.source.is_dir() else ": >"
        lines += [f"{make} {place}", f"mount --bind {shlex.quote(str(mount.source))} {place}"]
        staged.append(Mount(Path(place), mount.target, mount.writable))
    return lines if len(lines) > 1 else [], staged


def _open_to_all(path: Path) -> bool:
    """Whether a user who is nobody in particular reaches the path, links on the way included."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in _chain(path) if parent.is_dir())


def _chain(path: Path) -> list[Path]:
    real = path.resolve()
    return [real, *real.parents, path, *path.parents]


def _bubblewrap(jail: Jail, mounts: Sequence[Mount], program: Sequence[str]) -> list[str]:
    arguments = ["bwrap", *_namespaces(jail), *_system()]
    for mount in mounts:
        arguments += ["--bind" if mount.writable else "--ro-bind", str(mount.source), mount.target]
    # The root and /dev are memory: whatever could be written there would count nowhere.
    return [*arguments, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", jail.directory, "--", *program]


def _namespaces(jail: Jail) -> list[str]:
    user = str(INNER_USER)
    arguments = ["--unshare-user", "--uid", user, "--gid", user, "--cap-drop", "ALL", "--disable-userns"]
    arguments += ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "crewship"]
    arguments += ["--new-session", "--clearenv", "--as-pid-1"]
    if not jail.network:
        arguments += ["--unshare-net"]  # bubblewrap brings the loopback up
    if jail.bound:
        arguments += ["--die-with-parent"]
    return arguments


def _system() -> list[str]:
    arguments = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        place = Path("/", name)
        if place.is_symlink():
            arguments += ["--symlink", os.readlink(place), str(place)]
        elif place.is_dir():
            arguments += ["--ro-bind", str(place), str(place)]
    arguments += ["--proc", "/proc", "--dev", "/dev"]
    arguments += ["--perms", "1777", "--size", str(_SHARED_MEMORY), "--tmpfs", "/dev/shm"]  # noqa: S108 - a place inside
    for name in _ETC:
        arguments += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return arguments


def environment() -> dict[str, str]:
    """What the command's own steps get to see: where their programs are. Nothing of it reaches the code."""
    return {"PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


def problem(folder: Path, identity: int | None) -> str | None:
    """Why no sandbox can be made here, None if one can: found out by making one, in `folder`. Blocks for a moment."""
    needed = ["bwrap"] if identity is None else ["bwrap", "unshare", "setpriv", "mount"]
    if missing := [name for name in needed if shutil.which(name, path=environment()["PATH"]) is None]:
        return f"{missing[0]} is not installed"
    place = folder / f"probe-{secrets.token_hex(4)}"
    try:
        place.mkdir(parents=True, mode=0o700)
        return _try(place, identity)
    except (OSError, subprocess.SubprocessError) as failure:
        return str(failure)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _try(place: Path, identity: int | None) -> str | None:
    write_identities(place / "identities")
    work = place / "work"
    work.mkdir()
    if identity is not None:
        os.chown(work, identity, identity)
    mounts = (Mount(work, "/app", writable=True),)
    jail = Jail(
        mounts=mounts, directory="/app", identities=place / "identities", network=True, identity=identity, bound=True
    )
    tried = subprocess.run(  # noqa: S603 - the program is ours
        command(jail, ["/bin/sh", "-c", "echo works > probe"]),
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
    )
    if (work / "probe").exists():
        return None
    said = tried.stderr.decode(errors="replace").strip().splitlines()
    return said[-1] if said else f"bubblewrap ended with status {tried.returncode}"
