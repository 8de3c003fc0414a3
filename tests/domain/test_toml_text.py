"""TOML that others wrote, within bounds."""

import pytest

from domain import toml_text


@pytest.mark.parametrize("part", ["a", '"a b"', "'a'", r'"\""'])
def test_a_key_of_very_many_parts_is_not_parsed(part):
    for key in (".".join([part] * 100), " . ".join([part] * 100)):
        for text in (f"{key} = 1", f"[{key}]", f"x = {{{key} = 1}}"):
            with pytest.raises(toml_text.TooLarge):
                toml_text.loads(text)


def test_long_strings_and_many_dots_elsewhere_are_no_such_key():
    text = 'a.b.c = "' + "1.2.3 " * 10_000 + '"'
    assert toml_text.loads(text)["a"]["b"]["c"].startswith("1.2.3")


@pytest.mark.parametrize("text", ["a" * 250_000, '"' * 250_000, '\\"' * 125_000, "'\"" * 125_000, "a. " * 80_000])
def test_looking_for_such_a_key_takes_no_longer_than_the_text_is(text):
    assert toml_text._LONG_KEY.search(text) is None or "a. " in text
