"""Users that builds and runs are inside of containers, one a deployment."""

import hashlib
from typing import Any

from crewship.engine.docker_tar import Packed
from crewship.engine.executor import BuildOrder

# Within 16 bits, so that an engine with user namespaces has them.
_FIRST_IDENTITY = 10_000
_IDENTITIES = 50_000

_USERS = "root:x:0:0:root:/root:/bin/sh\ncrewship:x:{0}:{0}::/tmp:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/sh\n"
_GROUPS = "root:x:0:\ncrewship:x:{0}:\nnogroup:x:65534:\n"


def identity(deployment_id: str) -> int:
    """The user and group that builds and runs of a deployment are inside of their containers."""
    digest = hashlib.sha256(deployment_id.encode()).digest()
    return _FIRST_IDENTITY + int.from_bytes(digest[:4]) % _IDENTITIES


def add_users(packed: Packed, owner: int) -> None:
    """Add the files that give an image's users their names."""
    packed.file("etc/passwd", _USERS.format(owner).encode())
    packed.file("etc/group", _GROUPS.format(owner).encode())


def config(order: BuildOrder) -> dict[str, Any]:
    """What an image of ours does if somebody starts it by hand: nothing, as nobody."""
    owner = identity(order.deployment_id)
    return {"Entrypoint": ["/bin/false"], "Cmd": [], "User": f"{owner}:{owner}"}
