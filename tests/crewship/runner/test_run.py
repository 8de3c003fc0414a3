"""The child without a framework's import: entrypoints, streams, last words. No graph is needed to fail."""

import pytest

from crewship.engine.protocol import Exit, Failure, Log


def failure(guarded, **changes):
    exit_line = guarded.run(guarded.spec(**changes))
    assert exit_line == Exit(code=1)
    [found] = guarded.messages(Failure)
    return found


@pytest.mark.parametrize(
    ("entrypoint", "message"),
    [
        ("graf:graph", "entrypoint: there is no module 'graf' in the project; did you mean 'graph'?"),
        ("graph:grahp", "entrypoint: 'graph' has no 'grahp'; did you mean 'graph'?"),
        ("graph:graph.inner", "entrypoint: 'graph' has no 'inner'"),
        ("graph", "entrypoint 'graph' must be module:attribute or ./path/file.py:attribute"),
        ("./nothing.py:graph", "entrypoint: there is no file './nothing.py' in the project"),
        ("../outside.py:graph", "entrypoint: '../outside.py' lies outside of the project"),
    ],
)
def test_a_wrong_entrypoint_says_what_is_wrong(guarded, entrypoint, message):
    guarded.write(graph="graph = object()")
    assert failure(guarded, entrypoint=entrypoint) == Failure(message, None)


def test_an_unknown_framework_is_named(guarded):
    assert failure(guarded, framework="autogen").error == "framework 'autogen' is not known to this runner"


def test_an_import_that_fails_shows_the_projects_frames_alone(guarded):
    guarded.write(graph="import helper", helper="def f():\n    import no_such_package\nf()")
    found = failure(guarded)
    assert found.error == "ModuleNotFoundError: No module named 'no_such_package'"
    assert "helper.py" in found.stack_trace
    assert "crewship_runner" not in found.stack_trace
    assert "importlib" not in found.stack_trace


def test_the_trace_of_a_chained_exception_is_whole(guarded):
    guarded.write(graph="try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ValueError('bad') from error")
    found = failure(guarded)
    assert found.error == "ValueError: bad"
    assert "ZeroDivisionError: division by zero" in found.stack_trace
    assert "direct cause" in found.stack_trace
    assert "crewship_runner" not in found.stack_trace


def test_sys_exit_without_a_result_is_an_error(guarded):
    guarded.write(graph="import sys; sys.exit(0)")
    assert failure(guarded).error == "the project's code called sys.exit(0) before there was a result"


def test_the_status_of_sys_exit_is_kept(guarded):
    guarded.write(graph="import sys; sys.exit(3)")
    assert guarded.run(guarded.spec()) == Exit(code=3)


def test_modules_of_the_project_win_over_the_runners_and_installed_ones(guarded):
    site = guarded.folder / "site"
    site.mkdir()
    (site / "reporter.py").write_text("where = 'site'")
    (site / "installed.py").write_text("where = 'site'")
    guarded.write(
        graph="import run, lines, guard, reporter, installed, inner, sys\n"
        "print(*(m.where for m in (run, lines, guard, reporter, installed, inner)), 'json' in sys.modules)",
        run="where = 'app'",
        guard="where = 'app'",
        reporter="where = 'app'",
        src__lines="where = 'src'",
        src__inner="where = 'src'",
    )
    guarded.run(guarded.spec(site=[str(site)]))
    assert guarded.logs() == ["app src app app site src True"]


@pytest.mark.parametrize(
    ("entrypoint", "files"),
    [
        ("package.part:graph", {"package__part": "print(__name__)"}),
        ("./package/part.py:graph", {"package__part": "print(__name__)"}),
        ("./src/package/part.py:graph", {"src__package__part": "print(__name__)"}),
    ],
)
def test_a_module_has_the_name_by_which_the_project_imports_it(guarded, entrypoint, files):
    guarded.write(**files)
    guarded.run(guarded.spec(entrypoint=entrypoint))
    assert guarded.logs() == ["package.part"]


def test_a_file_with_a_name_that_is_no_identifier_can_be_an_entrypoint(guarded):
    (guarded.app / "my-agent").mkdir()
    (guarded.app / "my-agent" / "json.py").write_text("print(__file__)")
    guarded.run(guarded.spec(entrypoint="./my-agent/json.py:graph"))
    assert guarded.logs() == [str(guarded.app / "my-agent" / "json.py")]


def test_the_environment_is_there_before_the_import(guarded):
    guarded.write(graph="import os; print(os.environ['TOKEN'])")
    guarded.run(guarded.spec(env={"TOKEN": "secret"}))
    assert guarded.logs() == ["secret"]


def test_the_first_log_line_starts_the_tree(guarded):
    guarded.write(graph="print('mine')")
    guarded.run(guarded.spec())
    assert guarded.messages(Log)[:2] == [
        Log("info", "Starting crew execution", "runner"),
        Log("info", "mine", "stdout"),
    ]


def test_everything_that_a_project_prints_is_logged_in_order(guarded):
    guarded.write(
        graph="""
        import io, logging, os, subprocess, sys, threading, warnings
        print("a", "b", sep="-")
        print("to stderr", file=sys.stderr)
        sys.stdout.buffer.write("bytes ü\\n".encode()); sys.stdout.flush()
        logging.getLogger("mine").warning("watch %s", "out")
        logging.getLogger("mine").error("two\\nlines")
        logging.getLogger("mine").info("not shown")
        sys.stdout.reconfigure(line_buffering=True)
        wrapped = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8"); wrapped.write("wrapped\\n"); wrapped.flush()
        print(sys.stdout.isatty(), sys.stdout.encoding, sys.stdout.fileno(), sys.stderr.fileno())
        print("progress 1%\\rprogress 100%\\r")
        sys.stdout.close()
        print("still open \\ud800")
        print("x" * 70_000)
        sys.stdout.write("no newline")
        """
    )
    guarded.run(guarded.spec())
    logs = [(log.level, log.message, log.stream) for log in guarded.messages(Log)[1:]]
    assert logs[:10] == [
        ("info", "a-b", "stdout"),
        ("warning", "to stderr", "stderr"),
        ("info", "bytes ü", "stdout"),
        ("warning", "watch out", "logging"),
        ("error", "two\nlines", "logging"),
        ("info", "wrapped", "stdout"),
        ("info", "False utf-8 1 2", "stdout"),
        ("info", "progress 100%", "stdout"),
        ("info", "still open ?", "stdout"),
        ("info", "x" * 65536, "stdout"),
    ]
    assert guarded.messages(Log)[10].truncated
    assert logs[10:] == [("info", "no newline", "stdout")]


def test_programs_that_a_project_starts_and_its_descriptors_are_logged(guarded):
    guarded.write(
        graph="""
        import os, subprocess, sys
        subprocess.run(["sh", "-c", "echo from a program; echo trouble >&2"], check=True)
        subprocess.run(["echo", "handed down"], stdout=sys.stdout, check=True)
        os.write(1, b"raw\\n")
        sys.__stdout__.write("original\\n")
        """
    )
    guarded.run(guarded.spec())
    assert guarded.logs() == ["from a program", "handed down", "raw", "original"]
    assert guarded.logs("stderr") == ["trouble"]


def test_a_project_that_configures_logging_keeps_its_own_format(guarded):
    guarded.write(
        graph="""
        import logging
        logging.basicConfig(level=logging.INFO)
        logging.info("mine")
        """
    )
    guarded.run(guarded.spec())
    [log] = [log for log in guarded.messages(Log) if log.stream == "stderr"]
    assert log == Log("info", "INFO:root:mine", "stderr")


def test_lines_of_threads_do_not_mix(guarded):
    guarded.write(
        graph="""
        import threading
        def talk(name):
            for _ in range(200):
                print(name, name, name, sep="-")
        threads = [threading.Thread(target=talk, args=(str(n),)) for n in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        """
    )
    guarded.run(guarded.spec())
    assert sorted(guarded.logs()) == sorted([f"{n}-{n}-{n}" for n in range(8) for _ in range(200)])


def test_forks_and_process_pools_report_nothing_twice(guarded):
    guarded.write(
        work="def double(n):\n    print('working', n, flush=True)\n    return 2 * n",
        graph="""
        import multiprocessing, os, sys
        from work import double
        print("held", end="")
        pid = os.fork()
        if pid == 0:
            print("in the", "fork", flush=True)
            raise RuntimeError("only the fork")
        os.waitpid(pid, 0)
        print()
        for method in ("fork", "spawn"):
            with multiprocessing.get_context(method).Pool(2) as pool:
                print(pool.map(double, [1, 2]))
        """,
    )
    found = failure(guarded)
    assert "has no 'graph'" in found.error
    assert sorted(guarded.logs()) == sorted(
        ["in the fork", "held", *["working 1", "working 2"] * 2, "[2, 4]", "[2, 4]"]
    )


def test_being_stopped_runs_finally_blocks(guarded):
    guarded.write(
        graph="""
        import time
        try:
            print("up")
            time.sleep(1000)
        except Exception:
            print("not this one")
        finally:
            print("cleaning up")
        """
    )
    guarded.start(guarded.spec())
    guarded.said("up")
    guarded.tell("stop")
    assert guarded.end() == Exit(code=143, reason="stopped")
    assert guarded.logs() == ["up", "cleaning up"]
    assert guarded.messages(Failure) == [Failure("the run was asked to stop", None)]


def test_an_error_message_of_any_size_is_cut(guarded):
    guarded.write(graph="raise ValueError('x' * 10_000_000)")
    found = failure(guarded)
    assert len(found.error) == 65536
    assert len(found.stack_trace) == 262144


def test_a_recursion_error_has_a_short_trace(guarded):
    guarded.write(graph="def f():\n    f()\nf()")
    found = failure(guarded)
    assert found.error.startswith("RecursionError: ")
    assert "more times" in found.stack_trace
