"""The syntax of .env files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crewship.cli.dotenv import DotenvError, parse


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("A=1", {"A": "1"}),
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("  export A = 1  ", {"A": "1"}),
        ("# comment\n\n   # another\nA=1 # why\n", {"A": "1"}),
        ("A=a#b", {"A": "a#b"}),
        ("A=#b", {"A": ""}),
        ("A=\nB=2", {"A": "", "B": "2"}),
        ("A=", {"A": ""}),
        ("A=x=y z", {"A": "x=y z"}),
        ('A="x # y" # z', {"A": "x # y"}),
        (r'A="a\nb\t\"c\"\\d\$e"', {"A": 'a\nb\t"c"\\d$e'}),
        (r"A='a\nb $c'", {"A": r"a\nb $c"}),
        ("A='one\ntwo'\nB=3", {"A": "one\ntwo", "B": "3"}),
        ('KEY="-----BEGIN-----\nabc=\n-----END-----"\n', {"KEY": "-----BEGIN-----\nabc=\n-----END-----"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=é€", {"A": "é€"}),
        ("", {}),
    ],
)
def test_what_a_file_sets(text: str, variables: dict[str, str]) -> None:
    assert parse(text) == variables


@pytest.mark.parametrize(
    ("text", "line"),
    [("A=1\nsecret", 2), ("=secret", 1), ("1A=secret", 1), ('A=1\n\nB="secret', 3), ("A='secret' x", 1)],
)
def test_a_line_that_is_no_assignment_is_named_and_not_shown(text: str, line: int) -> None:
    with pytest.raises(DotenvError) as caught:
        parse(text)
    assert str(caught.value).startswith(f"line {line} ")
    assert "secret" not in str(caught.value)


@given(st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,8}", fullmatch=True), st.text()))
def test_every_value_can_be_written_in_double_quotes(variables: dict[str, str]) -> None:
    def quoted(value: str) -> str:
        for raw, escaped in (("\\", "\\\\"), ('"', '\\"'), ("\r", "\\r")):
            value = value.replace(raw, escaped)
        return f'"{value}"'

    assert parse("".join(f"{name}={quoted(value)}\n" for name, value in variables.items())) == variables


@given(st.text(alphabet="AB=\"'#\\ \n\r\té$"))
def test_every_text_is_read_or_refused(text: str) -> None:
    try:
        assert isinstance(parse(text), dict)
    except DotenvError:
        return
