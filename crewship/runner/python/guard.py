"""The first process in a sandbox: `python -I -S guard.py --journal FD [--control FD --bell FD --lock FD] [--ascii]
-- COMMAND …`, with the run's spec as JSON on its standard input (see crewship_runner/guard/spec.py). The command hosts
the project's framework: run.py beside this file with a Python, or run.mjs with a Node.

With `--warm` the spec comes in two pieces: at once what every run of the version shares, in one line, so that the child
can import the framework and the entrypoint; and, when a run is there, the run itself, up to the end of the input. See
crewship_runner/guard/calling.py. An input that ends without a run ends the sandbox.

PID 1 of the sandbox's pid namespace, or an ordinary process that adopts the orphans below it. The spec, the journal
and the verdict on how the run ended are this process's alone: the project's code runs in its child, which reports over
a pipe.
"""

import ctypes

# Before anything else: nobody of the same uid may trace this process or open its descriptors (PR_SET_DUMPABLE).
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)

import importlib  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402

if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    sys.exit(importlib.import_module("crewship_runner.guard.main").main(sys.argv[1:]))
