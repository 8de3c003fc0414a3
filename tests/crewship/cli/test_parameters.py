"""What commands take: inputs, and the deployment that is meant."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from crewship.cli.errors import Mistake
from crewship.cli.parameters import deployment_name, run_input


def test_an_input_is_a_json_object(tmp_path: Path) -> None:
    assert run_input(None) == {}
    assert run_input('{"topic": "AI"}') == {"topic": "AI"}
    file = tmp_path / "input.json"
    file.write_bytes(b'\xef\xbb\xbf{"topic": "\xc3\xa9"}')
    assert run_input(f"@{file}") == {"topic": "é"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("topic=AI", r"--input is not JSON: Expecting value at line 1, column 1 \(it looks like"),
        ("[1]", "--input must be a JSON object"),
        ('"x"', "--input must be a JSON object"),
        ("@nowhere.json", "--input @nowhere.json: No such file"),
        ("[" * 100_000, "too large"),
        ('{"a": ' + "9" * 10_000 + "}", "too large"),
    ],
)
def test_another_input_is_refused(given: str, message: str) -> None:
    with pytest.raises(Mistake, match=message):
        run_input(given)


def test_an_input_may_come_from_stdin(crewship: Callable[..., Result]) -> None:
    result = crewship("invoke", "x", "-i", "-", input=b"\xff")
    assert result.exit_code == 2
    assert result.stderr == "error: stdin is not UTF-8 text\n"


def write(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "crewship.toml").write_text(text)


BODY = 'framework = "crewai"\nentrypoint = "a:b"\n'


def test_the_deployment_is_the_one_that_was_named() -> None:
    assert deployment_name("a", None) == deployment_name(None, "a") == deployment_name("a", "a") == "a"
    with pytest.raises(Mistake, match="two deployments are named: a and b"):
        deployment_name("a", "b")


def test_the_deployment_is_named_by_the_file_or_else_by_its_folder(tmp_path: Path) -> None:
    write(tmp_path / "My Crew", f"[deployment]\n{BODY}")
    assert deployment_name(None, None, tmp_path / "My Crew") == "my-crew"
    write(tmp_path / "My Crew", f'[deployment]\nname = "other"\n{BODY}')
    assert deployment_name(None, None, tmp_path / "My Crew") == "other"


def test_several_deployments_are_listed_where_none_is_named(tmp_path: Path, crewship: Callable[..., Result]) -> None:
    write(tmp_path, f"[deployments.a]\n{BODY}[deployments.b]\n{BODY}")
    result = crewship("invoke")
    assert result.exit_code == 2
    assert result.stderr == "error: crewship.toml has several deployments (a, b): pick one with --name\n"


def test_no_file_and_no_name_asks_for_one(crewship: Callable[..., Result]) -> None:
    result = crewship("env", "list")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: which deployment? Name one")
