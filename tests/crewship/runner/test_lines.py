"""Bytes into lines."""

from hypothesis import given
from hypothesis import strategies as st

from crewship.runner.python.crewship_runner.lines import LineSplitter, shorten


def split(pieces, **more):
    splitter = LineSplitter(**more)
    return [line for piece in pieces for line in splitter.feed(piece)] + splitter.finish()


some = st.lists(st.sampled_from([b"a", b"b", b"\n", b"\r", b"\r\n", b"long" * 5]), max_size=40)


@given(some)
def test_how_the_bytes_come_does_not_matter(pieces):
    whole = b"".join(pieces)
    assert split(pieces, limit=10) == split([whole], limit=10) == split([bytes([b]) for b in whole], limit=10)


@given(some)
def test_without_carriage_returns_lines_are_lines(pieces):
    whole = b"".join(pieces)
    lines = split(pieces, limit=10**6, terminal=False)
    assert b"\n".join(line for line, _ in lines) + (b"\n" if whole.endswith(b"\n") else b"") == whole


@given(some)
def test_no_line_is_longer_than_its_limit(pieces):
    assert all(len(line) <= 10 for line, _ in split(pieces, limit=10))


def test_what_is_cut_says_so():
    assert split([b"0123456789a\n0123456789\r\n"], limit=10) == [(b"0123456789", True), (b"0123456789", False)]


@given(st.text(st.characters()), st.integers(1, 20))
def test_a_shortened_text_fits_and_is_the_beginning(text, limit):
    short, cut = shorten(text, limit)
    whole = text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    assert cut == (len(text.encode("utf-8", "replace")) > limit)
    assert whole.startswith(short)
    assert cut or short == whole
