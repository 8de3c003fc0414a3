"""How deep JSON is nested."""

import pytest

from crewship.nesting import too_deep


@pytest.mark.parametrize(
    ("data", "deep"),
    [
        (b"1", False),
        (b"[" * 128 + b"]" * 128, False),
        (b"[" * 129 + b"]" * 129, True),
        (b'{"a":' * 200 + b"1" + b"}" * 200, True),
        (b"[" * 5000 + b"]" * 5000, True),
        (b"[" + b"[]," * 500 + b"[]]", False),
        (b'"' + b"[" * 500 + b'"', False),
    ],
)
def test_depth(data: bytes, deep: bool):
    assert too_deep(data) == deep
