"""Reading a journal while it is written, without a guard: the test writes it."""

import asyncio
import contextlib
import fcntl
import json
import os
import subprocess
import sys

import pytest

from crewship.engine import journal


def line(number, kind="log", **more):
    return json.dumps({"n": number, "type": kind, **more}).encode() + b"\n"


def start(code, *arguments):
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


class Writer:
    """What a guard does to a run's folder."""

    def __init__(self, folder):
        self.folder = folder
        os.mkfifo(folder / "bell")
        (folder / "journal").touch()
        (folder / "lock").touch()
        self._bell = os.open(folder / "bell", os.O_RDWR | os.O_NONBLOCK)
        self._lock = os.open(folder / "lock", os.O_RDWR)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def write(self, data, *, ring=True):
        with (self.folder / "journal").open("ab") as file:
            file.write(data)
        if ring:
            with contextlib.suppress(BlockingIOError):
                os.write(self._bell, b"!")

    def die(self):
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def close(self):
        self.die()
        os.close(self._bell)


@pytest.fixture
def writer(tmp_path):
    with contextlib.closing(Writer(tmp_path)) as writer:
        yield writer


async def read(writer, after=0):
    async with asyncio.timeout(10), contextlib.aclosing(journal.lines(writer.folder, after, None)) as batches:
        return [raw async for batch in batches for raw in batch]


async def test_lines_end_with_the_exit_line_though_the_guard_still_holds_its_lock(writer):
    writer.write(line(1) + line(2, "exit"))
    assert [json.loads(raw)["n"] for raw in await read(writer)] == [1, 2]


async def test_lines_end_when_the_sandbox_is_dead_and_half_a_line_is_left_out(writer):
    writer.write(line(1) + b'{"n": 2, "ty')
    writer.die()
    assert [json.loads(raw)["n"] for raw in await read(writer)] == [1]


async def test_only_lines_above_the_number_come(writer):
    writer.write(b"".join(line(number) for number in range(1, 6)) + line(6, "exit"))
    assert [json.loads(raw)["n"] for raw in await read(writer, 4)] == [5, 6]
    assert await read(writer, 6) == []


async def test_lines_come_as_they_are_written_in_any_pieces(writer):
    whole = b"".join(line(number, message="é" * number) for number in range(1, 40)) + line(40, "exit")

    async def write():
        for start in range(0, len(whole), 7):
            writer.write(whole[start : start + 7])
            await asyncio.sleep(0)

    writing = asyncio.ensure_future(write())
    assert await read(writer) == whole.splitlines()
    await writing


async def test_a_lost_bell_only_delays(writer):
    reading = asyncio.ensure_future(read(writer))
    await asyncio.sleep(0)
    writer.write(line(1) + line(2, "exit"), ring=False)
    assert len(await reading) == 2


async def test_a_journal_of_many_megabytes_is_read_whole(writer):
    whole = b"".join(line(number, message="x" * 5000) for number in range(1, 3000)) + line(3000, "exit")
    writer.write(whole)
    assert await read(writer) == whole.splitlines()


async def test_a_line_of_many_megabytes_is_read_whole(writer):
    writer.write(line(1, "result", output="x" * (20 << 20)) + line(2, "exit"))
    assert [len(raw) > 20 << 20 for raw in await read(writer)] == [True, False]


async def test_what_is_no_line_of_the_protocol_is_passed_on(writer):
    writer.write(b"garbage\n" + line(1) + line(2, "exit"))
    assert (await read(writer, 1))[0] == b"garbage"


async def test_a_death_without_a_bell_is_noticed_by_the_holder(writer):
    process = start("input()")
    holder = journal.Holder(process.pid, os.pidfd_open(process.pid))
    with contextlib.closing(journal.Bell(writer.folder / "bell", holder)) as bell:
        waiting = asyncio.ensure_future(bell.wait())
        holder.kill()
        await holder.ended()
        await waiting
    process.communicate()
    holder.close()


LOCKS = """
import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
input()
"""


async def test_the_holder_of_the_lock_is_known_by_its_process(tmp_path):
    lock = tmp_path / "lock"
    lock.touch()
    assert journal.holder(lock) is None
    assert not journal.is_held(lock)
    process = start(LOCKS, str(lock))
    assert process.stdout is not None
    process.stdout.readline()
    assert journal.holder(lock) == process.pid
    holder = journal.Holder.of(lock)
    assert holder is not None
    holder.kill()
    await holder.ended()
    holder.close()
    process.communicate()
    assert journal.holder(lock) is None
    assert journal.Holder.of(lock) is None


def test_a_lock_that_is_not_there_is_held_by_nobody(tmp_path):
    assert journal.holder(tmp_path / "lock") is None
    assert not journal.is_held(tmp_path / "lock")


def test_asking_whether_a_lock_is_held_does_not_take_it(tmp_path):
    lock = tmp_path / "lock"
    lock.touch()
    with lock.open() as first:
        fcntl.flock(first, fcntl.LOCK_SH)
        assert not journal.is_held(lock)
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert journal.is_held(lock)
