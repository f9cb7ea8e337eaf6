"""How log lines look: JSON, one event a line, or columns for a person on a terminal."""

from __future__ import annotations

import logging
import sys
import threading
import warnings
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from ltv_guard.log.escaping import as_json, clean
from ltv_guard.log.writer import Event, LogWriter, Outlet, Render, say, utc_now

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

Style = Literal["auto", "console", "json"]

TRACEBACKS = {"exception", "stack"}
FLUSH_S = 1.0  # how long the end of a run waits for lines that nobody takes

_writer: LogWriter | None = None
_listeners: list[Callable[[Event], None]] = []


def listen(listener: Callable[[Event], None]) -> Callable[[], None]:
    """Has `listener` told of every event that is logged, in whatever thread. Returns what ends that."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def configure(*, style: Style = "auto", level: str = "INFO", stream: TextIO | None = None) -> None:
    """Sends our events, and warnings of the libraries, to `stream`: standard output by default.

    Where that is closed, to standard error. A log that can't be written stops nothing: the loans come first.
    """
    outlet = Outlet(stream or sys.stdout or sys.stderr)
    render = _renderer(style, isatty=outlet.isatty)
    _send(level, lambda event: outlet.write(render(event) + "\n"))


def configure_daemon(*, style: Style = "auto", level: str = "INFO") -> None:
    """The same for a run, to standard output, but nobody who logs waits for whoever reads it.

    May be called again, with what a reload has found. What Python itself would write to standard error, from
    whatever thread, becomes a line as well.
    """
    global _writer  # noqa: PLW0603 - the log is as global as the streams are
    outlet = Outlet(sys.stdout or sys.stderr, unbuffered=True)
    render = _renderer(style, isatty=outlet.isatty)
    if _writer is None:
        _writer = LogWriter(outlet, render)
    _writer.render = render
    _send(level, _writer.put)
    warnings.showwarning = _warned
    sys.unraisablehook = _unraisable
    threading.excepthook = _thread_failed


def flush() -> None:
    """Lets a run's last lines out, as far as somebody takes them, and says how many are lost."""
    if _writer is not None and (lost := _writer.flush(FLUSH_S)):
        say(f"{lost} log lines could not be written")


def _send(level: str, take: Callable[[Event], object]) -> None:
    def hand_over(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        take(event)
        for listener in _listeners:
            listener(event)
        raise structlog.DropEvent

    # An exception is put into words by whoever writes: for a traceback, source files are opened.
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _caught,
    ]
    structlog.configure(
        processors=[*shared, hand_over],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.ReturnLoggerFactory(),  # never used; its default needs an open stream
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_OfLibraries(take)], level=logging.WARNING, force=True)
    # It warns of every beat that is skipped while the one before waits for a locked journal, which we tell.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    # It quotes what garbage it was sent, and so a token, with a traceback for each.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)


def _renderer(style: Style, *, isatty: bool) -> Render:
    """From an event to its line. Locals are never dumped into a traceback: they may hold a secret."""
    steps: list[Processor]
    if style == "console" or (style == "auto" and isatty):
        steps = [
            structlog.processors.format_exc_info,
            _harmless,
            structlog.dev.ConsoleRenderer(colors=isatty, exception_formatter=structlog.dev.plain_traceback),
        ]
    else:
        steps = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=as_json),
        ]

    def render(event: Event) -> str:
        line: Any = _plain(event)
        for step in steps:
            line = step(None, event["level"], line)
        return str(line)

    return render


class _OfLibraries(logging.Handler):
    """What libraries log, as an event."""

    def __init__(self, take: Callable[[Event], object]) -> None:
        super().__init__()
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event = record.getMessage()
        except Exception:  # noqa: BLE001 - its own arguments may not fit it, and the message is better than none
            event = str(record.msg)
        self._take(
            {
                **structlog.contextvars.get_contextvars(),
                "event": event,
                "level": record.levelname.lower(),
                "timestamp": utc_now(),
                "exc_info": record.exc_info,
            }
        )


def _caught(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Which exception is meant by `exc_info=True` is known to the thread that handles it, and to no other."""
    if event.get("exc_info") is True:
        event["exc_info"] = sys.exc_info()
    return event


def _warned(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001
    line: str | None = None,  # noqa: ARG001
) -> None:
    # Python's own words quote the line, and so open the file.
    logging.getLogger("python").warning("%s:%s: %s: %s", filename, lineno, category.__name__, message)


def _unraisable(failed: UnraisableHookArgs) -> None:
    error = failed.exc_value
    logging.getLogger("python").error("%s", failed.err_msg or "exception ignored", exc_info=error)


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    if failed.exc_type is not SystemExit:
        logging.getLogger("python").error("a thread failed", exc_info=failed.exc_value)


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


def _plain(event: Event) -> EventDict:
    """Decimals as plain strings, and what is not there left out."""
    return {key: _value(value) for key, value in event.items() if value is not None}


def _value(value: Any) -> Any:  # noqa: ANN401 - whatever an event carries
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        return {key: _value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(item) for item in value]
    return value
