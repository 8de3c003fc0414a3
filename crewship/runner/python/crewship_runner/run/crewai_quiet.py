"""CrewAI without what is made for a terminal: telemetry, prompts, nags, boxes. Its plain text stays."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import logging
import os
import re
import sys
from typing import Any

# Said before CrewAI and what it brings along are imported; what the project's own variables say counts.
_ENVIRONMENT = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_TRACKING": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "ANONYMIZED_TELEMETRY": "False",  # chromadb
    "EC_TELEMETRY": "false",  # embedchain
    "MEM0_TELEMETRY": "False",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it asks GitHub for prices whenever it is imported
}
_HEARS_ITS_OWN_SWITCH = (0, 120)  # older releases send telemetry unless OpenTelemetry as a whole is off
_NAG = "approximate input token count"  # a warning before each call of a model
_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_WIDE = 16_000  # columns: the log has lines, and nobody wants them broken at 80


def prepare() -> None:
    """Import CrewAI, silenced. Raises ImportError where the project does not have it, or cannot have it."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if _version() < _HEARS_ITS_OWN_SWITCH:
        os.environ.setdefault("OTEL_SDK_DISABLED", "true")
    _unbox()
    importlib.import_module("crewai")
    _uncolour()
    _ask_nothing()
    logging.getLogger("crewai.llms.base_llm").addFilter(lambda record: _NAG not in str(record.msg))


def _version() -> tuple[int, ...]:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return tuple(int(part) for part in re.findall(r"\d+", importlib.metadata.version("crewai"))[:2])
    return (0,)


def _unbox() -> None:
    """Panels and consoles that CrewAI makes itself show their text alone; those of the project are as ever."""
    with contextlib.suppress(ImportError):  # old releases have no rich
        for name, plain in (("Panel", _plain_panel), ("Console", _wide_console), ("Live", _still_live)):
            place = vars(importlib.import_module(f"rich.{name.lower()}"))
            place[name] = plain(place[name])


def _plain_panel(base: Any) -> Any:
    class Panel(base):  # type: ignore[misc]
        """A panel without its frame: the title, then what stands in it."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._is_plain = _of_crewai(sys._getframe(1).f_globals)

        def __rich_console__(self, console: Any, options: Any) -> Any:
            if not self._is_plain:
                yield from super().__rich_console__(console, options)
                return
            text = type(self.renderable)(self.renderable.plain) if hasattr(self.renderable, "plain") else None
            if self.title:
                yield self.title
            if text is None:
                yield self.renderable
                return
            text.plain = "\n".join(line for line in text.plain.splitlines() if line.strip())
            if text.plain:
                yield text

    return Panel


def _wide_console(base: Any) -> Any:
    class Console(base):  # type: ignore[misc]
        """A console whose lines are as long as they are."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            self._is_plain = _of_crewai(sys._getframe(1).f_globals)
            if self._is_plain:
                named |= {"width": named.get("width") or _WIDE, "no_color": True}
            super().__init__(*arguments, **named)

        def print(self, *objects: Any, **named: Any) -> None:
            if self._is_plain:
                # Empty lines part boxes, and trees are drawn anew whenever something happens.
                objects = tuple(each for each in objects if type(each).__name__ != "Tree")
            if objects or not self._is_plain:
                super().print(*objects, **named)

    return Console


def _still_live(base: Any) -> Any:
    class Live(base):  # type: ignore[misc]
        """A display that changes in place, which a log has no place for."""

        def __init__(self, *arguments: Any, **named: Any) -> None:
            self._is_plain = _of_crewai(sys._getframe(1).f_globals)
            super().__init__(*arguments, **named)

        def start(self, *arguments: Any, **named: Any) -> None:
            if not self._is_plain:
                super().start(*arguments, **named)

        def refresh(self) -> None:
            if not self._is_plain:
                super().refresh()

    return Live


def _of_crewai(names: dict[str, Any]) -> bool:
    return str(names.get("__name__", "")).partition(".")[0] in ("crewai", "crewai_core", "crewai_tools")


def _uncolour() -> None:
    """CrewAI's own printer gives text without escape codes."""

    def plain(*arguments: Any, content: Any = None, end: str = "\n", **_: Any) -> None:
        content = next((each for each in (content, *arguments) if isinstance(each, (str, list))), "")
        text = content if isinstance(content, str) else "".join(getattr(part, "text", "") for part in content)
        text = _ESCAPES.sub("", text)
        if text.strip():
            print(text.strip("\n") if end == "\n" else text, end=end)

    with contextlib.suppress(ImportError):
        importlib.import_module("crewai.utilities.printer").Printer.print = plain


def _ask_nothing() -> None:
    """No question whether traces may be looked at, which waits for an answer, and no word that there are none."""
    with contextlib.suppress(Exception):  # older releases trace nothing
        tracing = importlib.import_module("crewai.events.listeners.tracing.first_time_trace_handler")
        tracing.FirstTimeTraceHandler.handle_execution_completion = lambda _: None
    with contextlib.suppress(Exception):
        importlib.import_module("crewai.events.listeners.tracing.utils").set_suppress_tracing_messages(True)
    with contextlib.suppress(Exception):
        formatter = importlib.import_module("crewai.events.utils.console_formatter").ConsoleFormatter
        formatter._show_tracing_disabled_message_if_needed = lambda _: None
