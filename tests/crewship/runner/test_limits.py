"""What a run may use, how it is stopped, and that nothing of it stays behind."""

import os
import signal
import time

import pytest

from crewship.engine.protocol import Exit, Log, Result


def lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_run_that_takes_too_long_is_told_to_stop(guarded):
    guarded.child_code(
        """
        def stop(*_):
            print("cleaning up", flush=True)
            sys.exit(7)
        signal.signal(signal.SIGTERM, stop)
        print("up", flush=True)
        while True:
            signal.pause()
        """,
        limits={"timeout": 0.5},
    )
    assert guarded.end() == Exit(code=7, reason="timeout", message="the run took longer than 0.5 s")
    assert guarded.logs() == ["up", "cleaning up"]


def test_who_ignores_sigterm_is_killed_after_the_grace_period(guarded):
    guarded.child_code(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()",
        limits={"grace": 0.3},
    )
    guarded.said("up")
    began = time.monotonic()
    guarded.tell("stop")
    assert guarded.end() == Exit(signal=signal.SIGKILL, reason="stopped")
    assert time.monotonic() - began >= 0.3


def test_kill_does_not_wait(guarded):
    guarded.child_code(
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()",
        limits={"grace": 3600},
    )
    guarded.said("up")
    guarded.tell("stop")
    guarded.tell("kill")
    assert guarded.end() == Exit(signal=signal.SIGKILL, reason="stopped")


def test_sigterm_to_the_guard_stops_the_run(guarded):
    guarded.child_code("print('up', flush=True); signal.pause()")
    guarded.said("up")
    os.kill(guarded.process.pid, signal.SIGTERM)
    assert guarded.end() == Exit(signal=signal.SIGTERM, reason="stopped")


def test_the_group_hears_sigterm_too(guarded):
    guarded.child_code("""
        signal.signal(signal.SIGTERM, lambda *_: None)
        helper = subprocess.Popen(["sleep", "1000"])
        print("up", flush=True)
        report("result", output=helper.wait())
    """)
    guarded.said("up")
    guarded.tell("stop")
    guarded.end()
    assert guarded.messages(Result) == [Result(-signal.SIGTERM)]


def test_too_much_memory_ends_the_run(guarded):
    guarded.child_code(
        "hold = bytearray(200 << 20); hold[::4096] = b'x' * len(hold[::4096]); signal.pause()",
        limits={"memory": 100 << 20},
    )
    exit_line = guarded.end()
    assert (exit_line.signal, exit_line.reason) == (signal.SIGKILL, "out_of_memory")
    assert "100.0 MiB are allowed" in exit_line.message


def test_memory_of_all_processes_counts_together(guarded):
    guarded.child_code(
        """
        for _ in range(4):
            if os.fork() == 0:
                hold = os.urandom(40 << 20)
                signal.pause()
        signal.pause()
        """,
        limits={"memory": 100 << 20},
    )
    assert guarded.end().reason == "out_of_memory"


def test_memory_that_processes_share_counts_once(guarded):
    guarded.child_code(
        """
        import mmap
        shared = os.urandom(60 << 20)
        children = [os.fork() or signal.pause() for _ in range(3)]
        time.sleep(1.2)
        report("result", output="alive")
        """,
        limits={"memory": 150 << 20},
    )
    assert guarded.end() == Exit(code=0)
    assert guarded.messages(Result) == [Result("alive")]


def test_too_much_disk_ends_the_run(guarded):
    guarded.child_code(
        """
        os.makedirs("deep/deeper")
        for number in range(30):
            with open(f"deep/deeper/{number}", "wb") as file:
                file.write(os.urandom(1 << 20))
        os.symlink("/", "everything")
        signal.pause()
        """,
        limits={"disk": 20 << 20},
    )
    exit_line = guarded.end()
    assert exit_line.reason == "disk_full"
    assert "20.0 MiB are allowed" in exit_line.message


def test_links_count_once_and_racing_deletes_do_no_harm(guarded):
    guarded.child_code(
        """
        with open("big", "wb") as file:
            file.write(os.urandom(8 << 20))
        os.symlink("/usr", "link")
        for number in range(5):
            os.link("big", f"same{number}")
        end = time.time() + 1.5
        while time.time() < end:
            os.makedirs("a/b/c", exist_ok=True)
            open("a/b/c/d", "w").close()
            os.remove("a/b/c/d")
            os.removedirs("a/b/c")
        """,
        limits={"disk": 20 << 20},
    )
    assert guarded.end() == Exit(code=0)


def test_a_daemon_that_keeps_stdout_open_does_not_outlive_the_run(guarded):
    guarded.child_code("""
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                os.write(writing, b"%d\\n" % os.getpid())
                while True:
                    print("still here", flush=True)
                    time.sleep(0.001)
            os._exit(0)
        report("result", output=int(os.read(reading, 20)))
    """)
    assert guarded.end() == Exit(code=0)
    assert not lives(guarded.messages(Result)[0].output)


def test_orphans_are_reaped_while_the_run_goes_on(guarded):
    guarded.child_code("""
        for _ in range(20):
            if os.fork() == 0:
                if os.fork() == 0:
                    os._exit(0)
                os._exit(0)
            os.wait()
        time.sleep(0.2)
        below = open(f"/proc/{os.getppid()}/task/{os.getppid()}/children").read().split()
        report("result", output=[below, os.getpid()])
    """)
    guarded.end()
    below, pid = guarded.messages(Result)[0].output
    assert below == [str(pid)]


def test_what_was_printed_before_a_kill_is_kept(guarded):
    guarded.child_code("""
        sys.stdout.write("no newline"); sys.stdout.flush()
        report("agent.started", agent="a", task="t")
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    assert guarded.end() == Exit(signal=signal.SIGKILL)
    assert guarded.messages(Log) == [Log("info", "no newline", "stdout")]


def test_the_limits_that_a_process_carries_are_set(guarded):
    guarded.child_code(
        """
        import resource
        report("result", output=[resource.getrlimit(resource.RLIMIT_NPROC), resource.getrlimit(resource.RLIMIT_CORE),
                                 len(os.sched_getaffinity(0)), resource.getrlimit(resource.RLIMIT_NOFILE)])
        """,
        limits={"processes": 77, "cpus": 0.5},
    )
    guarded.end()
    processes, core, cpus, files = guarded.messages(Result)[0].output
    assert processes == [77, 77]
    assert core == [0, 0]
    assert cpus == 1
    assert files[1] <= 65536


def test_a_child_dies_with_its_guard(guarded):
    guarded.child_code("print(os.getpid(), flush=True); signal.pause()")
    [pid] = guarded.until(lambda: guarded.logs())
    guarded.process.kill()
    guarded.process.wait()
    guarded.until(lambda: not lives(int(pid)))


@pytest.mark.parametrize("command", ["stop", "kill"])
def test_a_run_can_be_stopped_before_its_program_has_begun(guarded, command):
    guarded.child_code("signal.pause()")
    guarded.tell(command)
    assert guarded.end().reason == "stopped"
