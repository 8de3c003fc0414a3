"""What changed from one checkpoint to the next, in a terminal."""

from crewship.cli.thread import changes, said


def drawn(before: object, after: object) -> list[str]:
    return [line for line, _ in changes(before, after)]


def test_what_was_added_to_a_list_is_shown_alone():
    before = {"messages": [{"type": "human", "content": "hi"}]}
    after = {"messages": [*before["messages"], {"type": "ai", "content": "hello\nyou"}]}
    assert drawn(before, after) == ["+ messages: ai: hello you"]


def test_new_changed_and_gone_keys():
    assert drawn({"a": 1, "b": 2}, {"b": 3, "c": "x"}) == ["- a: 1", "~ b: 2 → 3", '+ c: "x"']


def test_nothing_changed_is_nothing_shown():
    assert drawn({"a": 1}, {"a": 1}) == []


def test_a_state_that_is_no_object_is_shown_as_a_value():
    assert drawn(4, 5) == ["~ value: 4 → 5"]


def test_a_message_is_who_says_what():
    assert "\x1b" not in said({"role": "user", "content": "a\x1b[31mb"})
    assert said({"type": "ai", "content": [{"type": "text"}]}).startswith("ai: [")
    assert said(7) == "7"
