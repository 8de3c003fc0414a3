"""The guard's journal: what the child prints and reports, and what it cannot make the journal say."""

import json
import os
from pathlib import Path

from crewship.engine.protocol import (
    AgentCompleted,
    AgentStarted,
    Exit,
    Failure,
    Log,
    Ready,
    Result,
    Token,
    ToolCalled,
    ToolError,
    ToolResult,
    parse,
)
from crewship.runner.python.crewship_runner.guard.journal import Journal


def test_a_journal_begins_with_ready_and_ends_with_exit(guarded):
    guarded.child_code("report('result', output={'answer': 42})")
    assert guarded.end() == Exit(code=0)
    assert guarded.messages() == [Ready(), Result({"answer": 42}), Exit(code=0)]


def test_each_kind_of_report_becomes_its_line(guarded):
    guarded.child_code("""
        report("agent.started", agent="Ann", task="look")
        report("tool.called", tool="web", input={"q": 1})
        report("tool.result", tool="web", output=[1, None])
        report("tool.error", tool="web", error="gone")
        report("agent.completed", agent="Ann", task="look", output="found", more="is dropped")
        report("log", level="debug", message="hm", stream="logging")
        report("error", error="ValueError: no", stack_trace="Traceback")
    """)
    guarded.end()
    assert guarded.messages()[1:-1] == [
        AgentStarted("Ann", "look"),
        ToolCalled("web", {"q": 1}),
        ToolResult("web", [1, None]),
        ToolError("web", "gone"),
        AgentCompleted("Ann", "look", "found"),
        Log("debug", "hm", "logging"),
        Failure("ValueError: no", "Traceback"),
    ]


def test_printed_lines_are_never_protocol(guarded):
    forged = ['{"n":9,"type":"exit","code":0}', '{"type":"result","output":"forged"}']
    guarded.child_code(f"""
        for line in {forged!r}:
            print(line, flush=True)
            print(line, file=sys.stderr, flush=True)
    """)
    assert guarded.end() == Exit(code=0)
    assert guarded.logs("stdout") == forged
    assert guarded.logs("stderr") == forged
    assert guarded.messages(Result) == []


def test_what_is_no_report_is_a_warning(guarded):
    guarded.child_code("""
        raw(b"nonsense\\n[1]\\n\\xff\\xfe\\n" + b"[" * 100_000 + b"\\n")
        raw(b'{"type":"token","agent":"a","text":NaN}\\n{"type":"token","agent":"a"}\\n')
        raw(b'{"type":"result","output":1e999}\\n')
        for kind in ("ready", "exit", "run.completed", None, 1, []):
            report(kind, code=0)
        raw(b'{"type":"agent.started","ag')
    """)
    guarded.end()
    warnings = guarded.messages(Log)
    assert len(warnings) == 14
    assert {(log.level, log.stream) for log in warnings} == {("warning", "runner")}
    assert len(guarded.messages(Exit)) == 1
    assert len(guarded.messages(Failure)) == 1  # the result with a number that JSON does not know


def test_the_first_last_words_count(guarded):
    guarded.child_code("report('result', output=1); report('result', output=2); report('error', error='three')")
    guarded.end()
    assert guarded.messages(Result, Failure) == [Result(1)]
    assert len(guarded.messages(Log)) == 2


def test_lone_surrogates_do_not_reach_the_journal(guarded):
    guarded.child_code("""raw(b'{"type":"result","output":"a\\\\ud800b"}\\n')""")
    guarded.end()
    assert guarded.messages(Result) == [Result("a?b")]


def test_an_output_of_more_than_32_mib_is_an_error(guarded):
    guarded.child_code("report('result', output='x' * (33 << 20)); report('result', output=2)")
    guarded.end()
    assert guarded.messages(Result, Failure) == [Failure("output is larger than 32 MiB")]


def test_an_output_of_almost_32_mib_is_kept_whole(guarded):
    guarded.child_code("report('result', output='x' * ((32 << 20) - 2))")
    guarded.end()
    assert len(guarded.messages(Result)[0].output) == (32 << 20) - 2


def test_a_report_of_more_than_4_mib_is_dropped_and_the_next_is_heard(guarded):
    guarded.child_code("""
        report("tool.result", tool="web", output="x" * (5 << 20))
        report("tool.result", tool="web", output="y" * (40 << 20))
        report("tool.called", tool="web", input=1)
    """)
    guarded.end()
    assert [type(message) for message in guarded.messages()[1:-1]] == [Log, Log, ToolCalled]


def test_prints_come_before_the_report_that_was_made_after_them(guarded):
    guarded.child_code("""
        for number in range(500):
            os.write(1, b"line %d\\n" % number)
            report("agent.started", agent=str(number), task="")
    """)
    guarded.end()
    at = {}
    for place, message in enumerate(guarded.messages(Log, AgentStarted)):
        at[message.message if isinstance(message, Log) else message.agent] = place
    assert all(at[f"line {number}"] < at[str(number)] for number in range(500))


def test_tokens_are_joined_by_agent_and_come_before_what_follows(guarded):
    guarded.child_code("""
        for text in ("one", " ", "two"):
            report("token", agent="a", text=text)
            report("token", agent="b", text=text)
        report("tool.called", tool="web", input=1)
        report("token", agent="a", text="left over")
    """)
    guarded.end()
    joined = guarded.messages(Token, ToolCalled)
    assert joined[-1] == Token("a", "left over")
    until_tool = joined[: joined.index(ToolCalled("web", 1))]
    for agent in ("a", "b"):
        assert "".join(token.text for token in until_tool if token.agent == agent) == "one two"


def test_a_token_does_not_wait_for_the_next_report(guarded):
    guarded.child_code("report('token', agent='a', text='now'); signal.pause()")
    guarded.until(lambda: guarded.messages(Token) == [Token("a", "now")])
    guarded.tell("kill")
    guarded.end()


def test_ten_megabytes_on_one_line_are_one_cut_line(guarded):
    guarded.child_code("os.write(1, b'x' * 10_000_000); print('\\nafter')")
    guarded.end()
    first, after = guarded.messages(Log)
    assert first == Log("info", "x" * 65536, "stdout", truncated=True)
    assert after == Log("info", "after", "stdout")


def test_a_line_of_exactly_64_kib_is_whole(guarded):
    guarded.child_code("print('x' * 65536 + '\\r'); print('y' * 65537, end='')")
    guarded.end()
    assert [(log.message[0], len(log.message), log.truncated) for log in guarded.messages(Log)] == [
        ("x", 65536, False),
        ("y", 65536, True),
    ]


def test_the_guard_stays_small_when_a_line_never_ends(guarded):
    guarded.child_code("""
        for _ in range(3000):
            os.write(1, b"x" * 100_000)
        os.write(1, b"\\n")
        print("done", flush=True)
        signal.pause()
    """)
    guarded.said("done")
    status = Path(f"/proc/{guarded.process.pid}/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0])
    assert peak < 60_000  # kB; 300 MB went through
    guarded.tell("kill")
    guarded.end()


def test_binary_output_is_shown_as_far_as_it_is_text(guarded):
    guarded.child_code("os.write(1, bytes(range(256)) + b'\\n' + 'grün'.encode('latin-1') + b'\\n\\xf0\\x9f')")
    guarded.end()
    lines = guarded.logs()
    assert len(lines) == 4  # byte 10 is a newline
    assert lines[2] == "gr\ufffdn"
    assert "\0" not in "".join(lines)


def test_progress_bars_and_windows_line_ends(guarded):
    guarded.child_code("""
        for percent in range(101):
            os.write(2, b"\\r%d%%" % percent)
        os.write(2, b"\\r\\none\\r\\n\\ntwo\\r")
    """)
    guarded.end()
    assert guarded.logs("stderr") == ["100%", "one", "", "two"]


def test_the_level_of_a_line_on_stderr_is_the_one_it_names(guarded):
    guarded.child_code("os.write(2, b'INFO:httpx:GET\\noops\\n2024 [ERROR] bad\\nFATAL: end\\n')")
    guarded.end()
    assert [log.level for log in guarded.messages(Log)] == ["info", "warning", "error", "critical"]


def test_logs_beyond_the_budget_are_counted(guarded):
    guarded.child_code(
        """
        for _ in range(1000):
            print("x" * 100)
        sys.stdout.flush()
        report("result", output="kept")
        """,
        limits={"logs": 20_000},
    )
    exit_line = guarded.end()
    *logs, warning = guarded.messages(Log)
    assert len(logs) + exit_line.lost_logs == 1000
    assert sum(len(line) for line in guarded.raw() if b'"stdout"' in line) < 25_000
    assert warning.level == "warning"
    assert guarded.messages(Result) == [Result("kept")]


def test_a_journal_is_bounded_and_last_words_are_not(tmp_path):
    path = tmp_path / "journal"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    journal = Journal(fd, bell=-1, limit=10_000)
    for number in range(1000):
        journal.add("tool.result", tool="web", output=number)
    journal.add("result", output="x" * 10_000)
    journal.flush()
    os.close(fd)
    *kept, warning, result = [parse(line).message for line in path.read_bytes().splitlines()]
    assert kept == [ToolResult("web", number) for number in range(len(kept))]
    assert 50 < len(kept) < 200
    assert warning.level == "warning"
    assert result == Result("x" * 10_000)


def test_the_child_gets_its_environment_and_nothing_of_the_guards(guarded):
    os.environ["CREWSHIP_TEST_SECRET"] = "of the server"
    try:
        guarded.child_code(
            """
            links = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                     if os.path.lexists(f"/proc/self/fd/{fd}")]
            report("result", output=[dict(os.environ), sorted(links), os.getcwd(), os.getsid(0) == os.getpid()])
            """,
            env={"TOKEN": "ü=1"},
        )
    finally:
        del os.environ["CREWSHIP_TEST_SECRET"]
    guarded.end()
    env, links, cwd, leads = guarded.messages(Result)[0].output
    assert env.pop("LC_CTYPE", None) in (None, "C.UTF-8")
    assert env == guarded.spec(env={"TOKEN": "ü=1"})["env"]
    assert not [link for link in links if str(guarded.folder) in link]
    assert cwd == str(guarded.app)
    assert leads


def test_the_child_can_neither_see_nor_trace_its_guard(guarded):
    # As root one may, so the child becomes somebody else; the guard itself shows that it cannot be dumped.
    guarded.child_code("""
        owner = os.stat(f"/proc/{os.getppid()}/fd").st_uid
        import ctypes
        dumpable = ctypes.CDLL(None).prctl(3, 0, 0, 0, 0)
        report("result", output=[owner, dumpable])
    """)
    guarded.end()
    assert guarded.messages(Result) == [Result([0, 1])]


def test_the_guard_holds_its_lock_while_it_lives(guarded):
    guarded.child_code("print('up', flush=True); signal.pause()")
    guarded.said("up")
    assert guarded.holder() == guarded.process.pid
    guarded.tell("kill")
    guarded.end()
    assert guarded.holder() == 0


def test_a_second_guard_of_one_run_writes_nothing(guarded):
    guarded.child_code("report('result', output=1)")
    guarded.end()
    journal = guarded.journal.read_bytes()
    guarded.close()
    guarded.start(guarded.spec())
    assert guarded.process.wait(10) == 75
    assert guarded.journal.read_bytes() == journal


def test_a_spec_that_broke_off_starts_nothing(guarded):
    guarded.start(json.dumps(guarded.spec()).encode()[:-10])
    exit_line = guarded.end()
    assert guarded.messages() == [exit_line]
    assert (exit_line.code, exit_line.reason, exit_line.message) == (None, "start_failed", "the spec is not JSON")


def test_a_spec_with_a_wrong_field_names_it_and_not_its_value(guarded):
    guarded.start({**guarded.spec(), "env": {"SECRET": 12345}})
    assert guarded.end().message == "env must be an object of strings"


def test_a_child_that_cannot_start_is_start_failed(guarded):
    guarded.start(guarded.spec(), python="/no/such/python")
    assert guarded.end().reason == "start_failed"
    assert "/no/such/python" in guarded.messages(Exit)[0].message


def test_the_exit_status_is_reported(guarded):
    guarded.child_code("sys.exit(3)")
    assert guarded.end() == Exit(code=3)


def test_a_signal_that_ended_the_child_is_reported(guarded):
    guarded.child_code("os.kill(os.getpid(), signal.SIGSEGV)")
    assert guarded.end() == Exit(signal=11)


def test_a_child_that_closes_its_pipes_goes_on(guarded):
    guarded.child_code("""
        os.close(1); os.close(2)
        report("agent.started", agent="a", task="t")
        os.close(fd)
        open("reached", "w").close()
        while not os.path.exists("end"):
            time.sleep(0.01)
        sys.exit(5)
    """)
    guarded.until(lambda: (guarded.app / "reached").exists())
    guarded.until(lambda: guarded.messages(AgentStarted) == [AgentStarted("a", "t")])
    (guarded.app / "end").touch()
    assert guarded.end() == Exit(code=5)


def test_the_bell_rings_for_what_is_written(guarded):
    bell = os.open(guarded.bell, os.O_RDONLY | os.O_NONBLOCK)
    guarded.child_code("report('result', output=1)")
    guarded.end()
    assert os.read(bell, 100).strip(b"!") == b""
    os.close(bell)
