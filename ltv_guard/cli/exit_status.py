"""How a command ends: errors become one sentence on standard error, and what happened an exit status."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

import click

from ltv_guard.adapters.settings.errors import ConfigError
from ltv_guard.core.model.errors import GuardError
from ltv_guard.log.escaping import clean

DONE, FAILED, UNUSABLE = 0, 1, 2


def exits(command: Callable[..., Any]) -> Callable[..., None]:
    """Ends the process with the status that `command` returns, or with that of its error."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - click's own arguments
        _write_whatever_it_is()
        try:
            status = command(*args, **kwargs) or DONE
        except ConfigError as error:
            status = _failed(str(error), UNUSABLE)
        except GuardError as error:
            status = _failed(str(error), FAILED)
        except BrokenPipeError:
            status = FAILED  # whoever read our words has gone: there is nobody to tell
        except OSError as error:
            sentence = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
            status = _failed(sentence, FAILED)
        _let_go_of_what_was_not_read()
        sys.exit(status)

    return run


def _write_whatever_it_is() -> None:
    """A stream in a small encoding shows what it lacks escaped: that must not be how a command fails."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _failed(sentence: str, status: int) -> int:
    with suppress(OSError):
        click.echo(f"ltv-guard: {clean(sentence)}", err=True)
    return status


def _let_go_of_what_was_not_read() -> None:
    """Python flushes the streams once more at its end, and would complain of those that can't be written."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
