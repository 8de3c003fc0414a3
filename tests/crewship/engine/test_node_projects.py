"""What package.json says, and what decides an environment."""

import json

import pytest

from crewship.engine import node_projects
from crewship.engine.executor import BuildFailed


def project(folder, package, **files):
    (folder / "package.json").write_text(json.dumps(package))
    for name, text in files.items():
        (folder / name.replace("__", "-").replace("_", ".")).write_text(text)
    return node_projects.read(folder)


def key(found):
    return node_projects.key(found, "20.1.0", "/usr/bin/node", "dep_1", "sha")


def test_the_lock_file_decides_and_is_installed_from(tmp_path):
    plain = project(tmp_path, {"dependencies": {"a": "1"}})
    locked = project(tmp_path, {"dependencies": {"a": "1"}}, package__lock_json="{}")
    assert (plain.source, locked.source) == ("package", "lock")
    assert key(plain) != key(locked)
    assert node_projects.install_steps(plain, ["npm"], "/tools")[0][:2] == ["npm", "install"]
    assert node_projects.install_steps(locked, ["npm"], "/tools")[0][:2] == ["npm", "ci"]


def test_what_is_not_installed_does_not_make_another_environment(tmp_path):
    one = project(tmp_path, {"dependencies": {"a": "1"}, "version": "1.0.0", "scripts": {"test": "vitest"}})
    other = project(tmp_path, {"dependencies": {"a": "1"}, "version": "1.0.1"})
    assert key(one) == key(other)
    assert not other.local


@pytest.mark.parametrize(
    "package",
    [
        {"dependencies": {"a": "file:../a"}},
        {"workspaces": ["packages/*"]},
        {"scripts": {"postinstall": "prisma generate"}},
    ],
    ids=["file", "workspaces", "script"],
)
def test_files_of_the_project_that_are_part_of_an_install_decide_with_it(tmp_path, package):
    assert project(tmp_path, package).local


def test_lock_files_of_others_are_named(tmp_path):
    (note,) = node_projects.notes(project(tmp_path, {}, pnpm__lock_yaml=""))
    assert note.startswith("warning: pnpm-lock.yaml is pnpm's and is not read")
    assert node_projects.notes(project(tmp_path, {}, package__lock_json="{}")) == []


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_a_package_json_that_is_none_is_said(tmp_path, text):
    if text is not None:
        (tmp_path / "package.json").write_text(text)
    with pytest.raises(BuildFailed, match=r"package\.json"):
        node_projects.read(tmp_path)


def test_only_what_node_does_not_read_is_compiled():
    assert [node_projects.is_compiled(f"./g{end}:graph") for end in (".js", ".mjs", ".cjs")] == [False] * 3
    assert [node_projects.is_compiled(f"./g{end}:graph") for end in (".ts", ".mts", ".tsx", ".jsx")] == [True] * 4
