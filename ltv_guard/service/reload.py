"""SIGHUP: the configuration is read again. What can't be used is refused, and what was goes on guarding.

Everything is found out while the old guards go on: the files are read off the loop, the journal is opened,
new keys are tried. Only then do the new guards take over, account by account, each with what the one before
it knew. So every key may change, and no reload, whatever goes wrong in it, ends a daemon or holds it up.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from ltv_guard.adapters.settings import ConfigError, Settings, load
from ltv_guard.core.model.errors import GuardError
from ltv_guard.service.live_run import LiveRun
from ltv_guard.service.scheduler import Daemon

READ_S = 60.0  # how long the files may take to be read
READY_S = 30.0  # how long the journal and the exchange may take until new guards are ready
READY_S_AN_ACCOUNT = 0.1  # and so much more for each of them

log = structlog.stdlib.get_logger()


class Reloads:
    """Holds the run that is in force. `adopted` hears of new settings."""

    def __init__(
        self,
        run: LiveRun,
        daemon: Daemon,
        *,
        read: Callable[[], Settings] | None = None,
        adopted: Callable[[Settings], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.run = run
        self._monotonic = monotonic
        self._since = monotonic()
        self._daemon = daemon
        self._read = read or (lambda: load(self.run.settings.source, before=self.run.settings))
        self._adopted = adopted
        self._reading: asyncio.Future[Settings] | None = None
        self._taking_over: asyncio.Task[None] | None = None

    @property
    def in_force_s(self) -> float:
        """For how long the run has been in force: what it has told and found began with it."""
        return self._monotonic() - self._since

    @property
    def is_taking_over(self) -> bool:
        """Whether accounts are changing guards: some of them may wait for others."""
        return self._taking_over is not None and not self._taking_over.done()

    async def watch(self, asked: asyncio.Event) -> None:
        """Reloads each time that `asked` is set; until it is cancelled."""
        while True:
            await asked.wait()
            asked.clear()
            await self._reload()

    async def end(self) -> None:
        """Waits for new guards that are taking over, lets go of what is open."""
        if self._taking_over is not None:
            await asyncio.wait([self._taking_over])
        await self.run.close()

    async def _reload(self) -> None:
        try:
            found = await self._found()
            changed = await asyncio.to_thread(changes, self.run.settings, found)
            if not changed:
                log.warning("config_reloaded", changed=changed)
                return
            ready_s = READY_S + READY_S_AN_ACCOUNT * len(found.accounts)
            async with asyncio.timeout(ready_s):
                after = await self.run.successor(found)
        except (ConfigError, GuardError) as error:
            self._refuse(str(error))
        except TimeoutError:
            self._refuse(f"it could not be begun with within {ready_s:.0f} s")
        except Exception as error:  # noqa: BLE001 - whatever it is, the old guards go on
            self._refuse(f"{type(error).__name__}: {error}", error)
        else:
            log.warning("config_reloaded", changed=changed)
            self._taking_over = asyncio.create_task(self._take_over(after))
            await asyncio.shield(self._taking_over)

    async def _found(self) -> Settings:
        """What the files hold. A thread can't be stopped: while one hangs, no other is begun."""
        if self._reading is not None and not self._reading.done():
            raise ConfigError("the configuration is still being read since the last time: is its disk stuck?")
        self._reading = asyncio.get_running_loop().run_in_executor(None, self._read)
        try:
            return await asyncio.wait_for(asyncio.shield(self._reading), READ_S)
        except TimeoutError:
            self._reading.add_done_callback(_forget)
            raise ConfigError(f"the configuration could not be read within {READ_S:g} s") from None

    async def _take_over(self, after: LiveRun) -> None:
        before = self.run
        try:
            self._adopted(after.settings)
            await self._daemon.adopt(after.duties)
            await after.greet()
        except Exception as error:  # noqa: BLE001 - the old guards are still at hand
            self._refuse(f"{type(error).__name__}: {error}", error)
            self._adopted(before.settings)
            await self._daemon.adopt(before.duties)
            await before.greet()
            await _close(after, before)
        else:
            self.run, self._since = after, self._monotonic()
            await _close(before, after)

    def _refuse(self, why: str, error: Exception | None = None) -> None:
        kept = str(self.run.settings.source or "the environment")
        log.error("config_refused", why=why, kept=kept, exc_info=error)


async def _close(run: LiveRun, but: LiveRun) -> None:
    try:
        await run.close(but=but)
    except Exception as error:  # noqa: BLE001 - it is of no use any more
        log.warning("config_reloaded", changed=[], why=f"something of before could not be closed: {error}")


def _forget(reading: asyncio.Future[Settings]) -> None:
    """Nobody waits for its result any more, nor for its exception."""
    if not reading.cancelled():
        reading.exception()


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
    return found | {f"accounts.{item.name} (its file)": item.why for item in settings.odd_accounts}
