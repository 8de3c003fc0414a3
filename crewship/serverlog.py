"""The server's own log, on stderr: coloured lines for a terminal, else a JSON object a line.

What libraries say through `logging` takes the same way, and what is said while a request is served carries its id.
"""

import logging
import sys
from collections.abc import Sequence

import structlog
from structlog.typing import Processor


def begin() -> None:
    """From now on, everything is said there."""
    shared: Sequence[Processor] = (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )
    last: Sequence[Processor] = (
        (structlog.dev.ConsoleRenderer(colors=True),)
        if sys.stderr.isatty()
        else (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
    )
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    named = (structlog.stdlib.add_logger_name, *shared)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[remove, *last], foreign_pre_chain=named))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
