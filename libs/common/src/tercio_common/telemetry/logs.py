"""Logs: one line an event, JSON for machines or text for people, with the trace id and request id of the call.

debug is for developers; info for milestones; warning says the consequence and what to do; error says what failed and
why. An event is a snake_case name, everything else is a key. Payloads are never logged, so tracebacks are without the
values of variables, among which are requests and their secrets.
"""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor

_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)
_TRACEBACKS: Processor = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))


def set_up_logs(*, kind: Literal["json", "console"], level: Literal["debug", "info", "warning", "error"]) -> None:
    """Send the logs of Tercio and of the libraries under it to standard error. Once a process, at its start."""
    last: tuple[Processor, ...] = (
        (structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback),)
        if kind == "console"
        else (_TRACEBACKS, structlog.processors.JSONRenderer())
    )
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
            foreign_pre_chain=_SHARED,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
