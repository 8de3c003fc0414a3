"""`crewship tables …` against a real server, as a user types it."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.server import ADMIN_KEY, ServerProcess

CREWSHIP = str(Path(sys.executable).parent / "crewship")

Tables = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def tables(server: ServerProcess, tmp_path: Path) -> Tables:
    """Runs `crewship tables` in an empty folder; checks the exit code."""
    env = {**os.environ, "CREWSHIP_URL": server.url, "CREWSHIP_API_KEY": ADMIN_KEY}

    def run(*words: str, code: int = 0, stdin: str = "") -> "subprocess.CompletedProcess[str]":
        command = [CREWSHIP, "tables", *words]
        ran = subprocess.run(command, cwd=tmp_path, env=env, input=stdin, capture_output=True, text=True)
        assert ran.returncode == code, (words, ran.stdout, ran.stderr)
        assert "Traceback" not in ran.stderr
        return ran

    return run


def without_meta(row: dict[str, Any]) -> dict[str, Any]:
    """The values of a row."""
    return {name: row[name] for name in ("company", "price", "tags")}


def test_a_table_is_filled_from_a_file_asked_changed_and_written_out_again(tables: Tables, tmp_path: Path):
    tables("create", "prices", "company:text!", "price:number", "hot:boolean", "tags:json", "--description", "Lists")
    with (tmp_path / "in.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["price", "company", "hot", "tags"])
        writer.writerows([[number / 2, f'"Acme", {number}\nLtd', "yes", '{"n": 1}'] for number in range(249)])
        writer.writerow(["", "last", "", ""])
    assert tables("import", "prices", "in.csv").stdout == "Imported 250 rows into prices\n"

    found = json.loads(tables("rows", "prices", "--where", "price>=123", "--sort", "price", "--json").stdout)["rows"]
    assert [row["price"] for row in found] == [123, 123.5, 124]
    assert found[0]["tags"] == {"n": 1}
    assert "last" in tables("rows", "prices", "--limit", "1").stdout
    assert "250" in tables("list").stdout

    refused = tables("update", "prices", "--column", "price:number!", code=1)
    assert "does not fit: price: a value is required" in refused.stderr
    tables("update", "prices", "--drop", "hot", "--rename", "price list")
    assert "price:number" in tables("get", "price list").stdout

    tables("export", "price list", "-o", "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["company"] for line in lines] == [f'"Acme", {number}\nLtd' for number in range(249)] + ["last"]
    tables("create", "copy", "company:text!", "price:number", "tags:json")
    exported = tables("export", "price list", "--format", "jsonl").stdout
    stripped = [
        {name: row[name] for name in ("company", "price", "tags")} for row in map(json.loads, exported.splitlines())
    ]
    tables("import", "copy", "-", "--format", "jsonl", stdin="\n".join(map(json.dumps, stripped)))
    again = tables("export", "copy", "--format", "jsonl").stdout
    assert [without_meta(json.loads(line)) for line in again.splitlines()] == stripped
    for name in ("price list", "copy"):
        tables("delete", name, "--yes")


def test_a_row_is_added_changed_and_removed(tables: Tables):
    tables("create", "single", "note:text!", "at:date")
    row_id = tables("insert", "single", '{"note": "a"}').stdout.strip()
    tables("set", "single", row_id, '{"at": "2024-05-01"}')
    assert "2024-05-01" in tables("rows", "single").stdout
    tables("remove", "single", row_id)
    assert "No rows" in tables("rows", "single").stderr
    tables("delete", "single", "--yes")


def test_what_is_wrong_in_a_file_is_said_with_its_place(tables: Tables, tmp_path: Path):
    tables("create", "checked", "note:text!", "at:date")
    (tmp_path / "bad.csv").write_text("note,at\n" + "a,2024-05-01\n" * 149 + "b,yesterday\n")
    refused = tables("import", "checked", "bad.csv", code=1).stderr
    assert "row 150, column at: expected a date" in refused
    assert "the 100 rows before" in refused
    for name, text, said in (
        ("a.csv", "note,colour\na,b\n", "has no column 'colour'"),
        ("a.csv", "note,at\na\n", "a.csv, line 2: 1 cells"),
        ("a.csv", "", "the file is empty"),
        ("a.jsonl", '{"note": "a"}\n{', "a.jsonl, line 2: this is not JSON"),
        ("a.jsonl", "[1]", "a.jsonl, line 1: expected a JSON object"),
        ("a.txt", "", "is a.txt CSV or JSON lines?"),
    ):
        (tmp_path / name).write_text(text)
        assert said in tables("import", "checked", name, code=2).stderr
    assert "no such file" in tables("import", "checked", "gone.csv", code=1).stderr.lower()
    assert "is no condition" in tables("rows", "checked", "--where", "note", code=2).stderr
    assert "is no column" in tables("create", "x", "note:colour", code=2).stderr
    tables("delete", "checked", "--yes")
