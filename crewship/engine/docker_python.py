"""The guard's interpreter for base images that have none, as the official ones of Node: brought along.

It is copied out of a Python base image, with the loader and the libraries that it uses, to one folder, and is started
by that loader. So it needs nothing of the image in which it lands, whatever system that is.
"""

import asyncio
import json
from pathlib import Path

from crewship.engine import docker_state
from crewship.engine.docker_engine import Engine
from crewship.engine.docker_workshop import Workshop
from crewship.engine.executor import BuildFailed

PLACE = "/runner/python"  # where it is to lie

# Copies the interpreter to /python: its program, its standard library, and every shared library that the guard loads.
_COPY = r"""
import glob, json, os, re, shutil, sys
sys.path.insert(0, "/runner")
import crewship_runner.guard.main, ctypes, encodings.idna, fcntl, hashlib, resource, select, subprocess
version = "python%d.%d" % sys.version_info[:2]
standard = os.path.dirname(os.__file__)
unneeded = shutil.ignore_patterns("__pycache__", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip",
                                  "lib2to3", "site-packages", "dist-packages", "pydoc_data", "config-*")
shutil.copytree(standard, "/python/lib/" + version, ignore=unneeded, symlinks=False)
os.makedirs("/python/bin")
program = shutil.copy(os.path.realpath(sys.executable), "/python/bin/" + version)
mapped = {line.split(None, 5)[5].strip() for line in open("/proc/self/maps") if line.count("/")}
loader = None
for path in sorted(mapped):
    name = os.path.basename(path)
    if ".so" in name and not path.startswith(standard + os.sep):
        if name.startswith("ld-"):
            loader = name
        shutil.copy(path, "/python/lib/" + name)
for root, folders, files in os.walk("/python"):
    for name in folders + files:
        os.chmod(os.path.join(root, name), 0o755)
if loader is None:
    sys.exit("the base image's Python has no loader")
print(json.dumps({"loader": loader, "program": version, "version": list(sys.version_info[:3])}))
"""

_SECONDS = 120.0


class BroughtPython:
    """An interpreter on its way: a tar whose entries lie below `python/`, and the command that starts it at PLACE."""

    def __init__(self, packed: bytes, command: list[str], version: list[int]) -> None:
        self.packed, self.command, self.version = packed, command, version


async def bring(engine: Engine, server_id: str, image: str) -> BroughtPython:
    """Copy the interpreter out of an image that has the runner in it (see docker_bases). Raises BuildFailed."""
    shop = Workshop(engine, image, {docker_state.SERVER: server_id})
    try:
        await shop.open(identity=0, program=["python3", "-I", "-S", "-c", _COPY])
        deadline = asyncio.get_running_loop().time() + _SECONDS
        said = [line async for line in shop.run(None, deadline)]
        told = json.loads(said[-1]) if said else {}
        packed = await shop.take("/python")
    except ValueError as problem:
        raise BuildFailed(f"the Python of the base image cannot be copied: {problem}") from problem
    finally:
        await shop.close()
    libraries = f"{PLACE}/lib"
    loader = f"{libraries}/{told['loader']}"
    command = [loader, "--library-path", libraries, str(Path(PLACE, "bin", told["program"]))]
    return BroughtPython(packed, command, told["version"])
