"""SIGHUP: the configuration is read again. A bad one is refused, and the old one stays. Reads settings only.

A reload is a clean restart without leaving the process: what is under way is awaited and journalled, and the
guards begin anew with what the journal holds. So every key may change, and there is one way to start.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import structlog

from ltv_guard.settings import ConfigError, Settings, load

log = structlog.stdlib.get_logger()


class Reload:
    """Holds the settings that are in force, and those that are to come."""

    def __init__(self, settings: Settings, read: Callable[[], Settings] | None = None) -> None:
        self.settings = settings
        self.asked = asyncio.Event()
        self._read = read or (lambda: load(settings.source))
        self._next: Settings | None = None
        self._last: Settings | None = None

    @classmethod
    def on_signal(cls, settings: Settings) -> Reload:
        """One that SIGHUP asks."""
        reload = cls(settings)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload.asked.set)
        return reload

    async def watch(self, stop: asyncio.Event, halt: asyncio.Event) -> None:
        """Sets `halt` once `stop` is set, or a new configuration is good."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not halt.is_set():
                asking = asyncio.create_task(self.asked.wait())
                await asyncio.wait({stopping, asking}, return_when=asyncio.FIRST_COMPLETED)
                asking.cancel()
                if stopping.done() or self._found_better():
                    halt.set()
        finally:
            stopping.cancel()

    def _found_better(self) -> bool:
        self.asked.clear()
        try:
            found = self._read()
        except ConfigError as error:
            log.error(  # noqa: TRY400 - the sentence says it all
                "config_refused", why=str(error), kept=str(self.settings.source or "the environment")
            )
            return False
        changed = changes(self.settings, found)
        log.warning("config_reloaded", changed=changed)
        self._next = found
        return bool(changed)

    def adopt(self) -> bool:
        """Puts the new settings in force; False where there are none."""
        if self._next is None:
            return False
        self._last, self.settings, self._next = self.settings, self._next, None
        return True

    def revert(self, why: str) -> bool:
        """Goes back to the settings of before, once, where the new ones could not be begun with."""
        if self._last is None:
            return False
        log.error("config_refused", why=why, kept="the configuration of before")
        self.settings, self._last = self._last, None
        return True


def changes(old: Settings, new: Settings) -> list[str]:
    """What differs, a line a key: never a secret's value."""
    before, after = _flat(old), _flat(new)
    return [
        f"{key}: {_shown(before.get(key))} -> {_shown(after.get(key))}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def _shown(value: object) -> str:
    return "not set" if value is None else str(value)  # a SecretStr shows asterisks


def _flat(settings: Settings) -> dict[str, object]:
    found: dict[str, object] = {}

    def walk(value: object, path: str) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                walk(item, f"{path}.{key}" if path else str(key))
        else:
            found[path] = value

    walk(settings.model_dump(), "")
    return found
