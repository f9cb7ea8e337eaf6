"""How log lines look: JSON, one event a line, or columns for a person on a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any, Literal, TextIO, cast

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from ltv_guard.escaping import as_json, clean

TRACEBACKS = {"exception", "stack"}


def configure(
    *, style: Literal["auto", "console", "json"] = "auto", level: str = "INFO", stream: TextIO | None = None
) -> None:
    """Sends our events, and warnings of the libraries, to `stream`: standard output by default.

    Where that is closed, to standard error. A log that can't be written stops nothing: the loans come first.
    """
    stream = cast("TextIO", _Unfailing(stream or sys.stdout or sys.stderr))
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _plain,
    ]
    # Locals are never dumped into a traceback: they may hold a secret.
    renderer: list[Processor]
    if style == "console" or (style == "auto" and stream.isatty()):
        renderer = [
            structlog.processors.format_exc_info,
            _harmless,
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    else:
        renderer = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=as_json),
        ]
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    # It warns of every beat that is skipped while the one before waits for a locked journal, which we tell.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)


class _Unfailing:
    """A stream whose reader may go away, and whose disk may be full: that is told once, elsewhere."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._failed = False

    def write(self, words: str) -> None:
        self._try(lambda: self._stream and self._stream.write(words))

    def flush(self) -> None:
        self._try(lambda: self._stream and self._stream.flush())

    def isatty(self) -> bool:
        return self._stream is not None and self._stream.isatty()

    def _try(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (OSError, ValueError) as error:  # ValueError: it was closed
            if not self._failed:
                self._failed = True
                _tell(getattr(error, "strerror", None) or str(error))


def _tell(why: str) -> None:
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"ltv-guard: the log can't be written ({why}): going on without it\n")
        sys.stderr.flush()


def _harmless(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """For people: what others wrote neither steers the terminal nor turns the reading order."""
    return {
        key: "\n".join(map(clean, str(value).split("\n"))) if key in TRACEBACKS else _shown(value)
        for key, value in event.items()
    }


def _shown(value: Any) -> Any:  # noqa: ANN401 - whatever an event carries
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {_shown(key): _shown(item) for key, item in value.items()}
    return [_shown(item) for item in value] if isinstance(value, (list, tuple)) else value


def _plain(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Decimals as plain strings, and what is not there left out."""
    return {key: _value(value) for key, value in event.items() if value is not None}


def _value(value: Any) -> Any:  # noqa: ANN401 - whatever an event carries
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (list, tuple)):
        return [_value(item) for item in value]
    return value
