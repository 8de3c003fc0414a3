"""A crew in a thread: what the thread knows goes under its inputs, and `messages` grows by each turn."""

from __future__ import annotations

import json
from typing import Any

from .ending import Problem
from .jsonable import jsonable
from .reporter import Reporter, TooLarge

MESSAGES = "messages"


class Conversation:
    """One turn: the thread's `values` under the run's input, and the values as they are after it.

    `inputs` always has `messages`: the conversation so far, this turn's words last. `added` names the inputs that the
    run itself was not given. Raises Problem for an edit that only a graph can make.
    """

    def __init__(self, job: dict[str, Any], reporter: Reporter) -> None:
        if job.get("mode") == "update_state":
            raise Problem("a crew has no nodes: leave as_node out, and the values are replaced key by key")
        self._reporter = reporter
        self._keys: dict[str, Any] = job.get("chat") or {}
        given = job["input"] if isinstance(job["input"], dict) else {}
        values = (job.get("thread") or {}).get("values") or {}
        before = values.get(MESSAGES)
        self._heard = [*(before if isinstance(before, list) else []), *self._turn(given)]
        self.inputs: dict[str, Any] = {**values, **given, MESSAGES: self._heard}
        self.added = frozenset({*values, MESSAGES} - (given.keys() - {MESSAGES}))

    def _turn(self, given: dict[str, Any]) -> list[Any]:
        """What the user says: messages, the text under the chat's key, the only text, or else the whole input."""
        said = given.get(MESSAGES)
        if isinstance(said, list):
            return said
        if not given:
            return []
        texts = [value for value in given.values() if isinstance(value, str)]
        key = self._keys.get("input_key")
        text = given[key] if key in given else texts[0] if len(texts) == 1 else given
        return [{"role": "user", "content": _text(text)}]

    def end(self, output: dict[str, Any], state: dict[str, Any]) -> None:
        """Tell what the thread knows from now on. A flow that keeps `messages` itself knows best what was said."""
        kept = state.get(MESSAGES)
        if not isinstance(kept, list) or kept == jsonable(self._heard):
            answer = output.get(self._keys.get("output_key") or "raw", output["raw"])
            kept = [*self._heard, {"role": "assistant", "content": _text(answer)}]
        try:
            self._reporter.keep("values", values={**self.inputs, **state, MESSAGES: kept})
        except TooLarge as error:
            raise Problem(str(error)) from None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(jsonable(value), ensure_ascii=False)
