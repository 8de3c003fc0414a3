"""The child of guard.py: `python run.py --report FD --job FD`. Runs one job with the project's own framework.

Only what the job needs is on `sys.path` once the project's code is imported; a process that multiprocessing spawns
imports this file again and finds nothing to do.
"""

if __name__ == "__main__":
    import importlib
    import os
    import sys

    # The folder of this script must not shadow a module of the project; the package keeps its own `__path__`.
    sys.path[:] = [entry for entry in sys.path if entry != os.path.dirname(os.path.abspath(__file__))]
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    main = importlib.import_module("crewship_runner.run.main").main
    del sys.path[0]
    sys.exit(main(sys.argv[1:]))
