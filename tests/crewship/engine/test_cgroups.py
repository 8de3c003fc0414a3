"""Cgroups: found from what the kernel says, tried for real where this process may, and understood of both versions."""

import os
import subprocess

import pytest

from crewship.engine import cgroups
from crewship.engine.cgroups import Bounds, Cgroups

MEBIBYTE = 1 << 20


@pytest.fixture
def machine(tmp_path):
    """Files as the kernel would show them; `mounts` and `own` to be written by the test."""
    return tmp_path


def test_version_1_finds_each_controllers_own_place(machine):
    for controller in ("memory", "pids", "cpu,cpuacct"):
        (machine / controller / "our").mkdir(parents=True)
    (machine / "mounts").write_text(
        "".join(
            f"3{number} 31 0:3 / {machine}/{controller} rw - cgroup cgroup rw,{controller}\n"
            for number, controller in enumerate(("memory", "pids", "cpu,cpuacct"))
        )
    )
    (machine / "own").write_text("8:pids:/our\n4:memory:/our\n1:cpu,cpuacct:/our\n0::/\n")
    found = cgroups.find("s1", machine / "mounts", machine / "own")
    assert found is not None
    assert found.version == 1
    made = found.create("run_1", Bounds(memory=MEBIBYTE, processes=7, cpus=1.5))
    base = machine / "memory" / "our" / "crewship-s1" / "run_1"
    assert base in made
    assert (base / "memory.limit_in_bytes").read_text() == str(MEBIBYTE)
    assert (machine / "pids/our/crewship-s1/run_1/pids.max").read_text() == "7"
    assert (machine / "cpu,cpuacct/our/crewship-s1/run_1/cpu.cfs_quota_us").read_text() == "150000"


def test_version_2_hands_out_the_controllers_from_the_servers_own_group(machine):
    own = machine / "cgroup" / "service"
    own.mkdir(parents=True)
    (own / "cgroup.controllers").write_text("cpu io memory pids\n")
    (own / "cgroup.procs").write_text("1\n2\n")
    (machine / "mounts").write_text(f"30 20 0:3 / {machine}/cgroup rw - cgroup2 cgroup2 rw\n")
    (machine / "own").write_text("0::/service\n")
    found = cgroups.find("s1", machine / "mounts", machine / "own")
    assert found is not None
    assert found.version == 2
    (group,) = found.create("run_1", Bounds(memory=MEBIBYTE, processes=7, cpus=0.5))
    assert (own / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"
    assert group == own / "crewship-s1" / "run_1"
    assert (group / "memory.max").read_text() == str(MEBIBYTE)
    assert (group / "cpu.max").read_text() == "50000 100000"


def test_a_server_alone_in_its_group_of_version_2_steps_aside(machine):
    (machine / "cgroup").mkdir()
    (machine / "cgroup" / "cgroup.controllers").write_text("cpu memory pids")
    (machine / "cgroup" / "cgroup.procs").write_text(f"{os.getpid()}\n")
    (machine / "mounts").write_text(f"30 20 0:3 /container {machine}/cgroup rw - cgroup2 cgroup2 rw\n")
    (machine / "own").write_text("0::/container\n")
    assert cgroups.find("s1", machine / "mounts", machine / "own") is not None
    assert (machine / "cgroup" / "server" / "cgroup.procs").read_text() == str(os.getpid())


@pytest.mark.parametrize(
    ("mounts", "own"),
    [("", ""), ("30 20 0:3 / /nowhere rw - cgroup2 cgroup2 rw\n", "0::/\n"), ("nonsense\n", "more nonsense\n")],
)
def test_without_controllers_there_is_nothing_to_make_groups_with(machine, mounts, own):
    (machine / "mounts").write_text(mounts)
    (machine / "own").write_text(own)
    assert cgroups.find("s1", machine / "mounts", machine / "own") is None


def test_a_group_that_cannot_be_made_in_full_leaves_nothing(machine):
    (machine / "memory").mkdir()
    groups = Cgroups(1, {"memory": machine / "memory", "pids": machine / "missing"})
    with pytest.raises(OSError, match="missing"):
        groups.create("run_1", Bounds())
    assert list((machine / "memory").iterdir()) == []


def test_a_kill_for_memory_is_read_from_either_version(machine):
    assert not cgroups.ran_out_of_memory([machine])
    (machine / "memory.events").write_text("low 0\noom 3\noom_kill 0\n")
    assert not cgroups.ran_out_of_memory([machine])
    (machine / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    assert cgroups.ran_out_of_memory([machine])


def test_a_real_group_holds_what_enters_it_and_removing_it_ends_that():
    found = cgroups.find(f"test-{os.getpid()}")
    if found is None:  # this process may make none: then the server's users have the guard's watching, tested elsewhere
        assert os.geteuid() != 0 or not os.access("/sys/fs/cgroup", os.W_OK)
        return
    made = found.create("run_1", Bounds(memory=64 * MEBIBYTE, processes=8, cpus=1))
    script = "".join(f"echo $$ > {group}/cgroup.procs; " for group in made) + "echo in; exec sleep 1000"
    process = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"in\n"
        assert cgroups.processes(made) == {process.pid}
        cgroups.remove(made)
        assert process.wait(10) == -9
    finally:
        process.kill()
        process.communicate()
        cgroups.remove(made)
        found.leave()
    assert not any(group.exists() or group.parent.exists() for group in made)
