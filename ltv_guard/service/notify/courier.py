"""Brings one target what waits for it: in order, not too fast, again after a while, much of it as one."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.notices import LEVELS, Notice
from ltv_guard.service.notify import words

FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 600.0
MOST_SINGLE = 5  # more than these wait: they are told as one
MOST, WITHIN_S = 20, 300.0  # messages to a target

Send = Callable[[str, str, str], Awaitable[bool]]

log = structlog.stdlib.get_logger()


class Courier:
    """Of one target. `waiting` and `delivered` are the outbox's; `send` takes title, body and level."""

    def __init__(
        self,
        target: str,
        send: Send,
        *,
        waiting: Callable[[str], Awaitable[Sequence[Notice]]],
        delivered: Callable[[Sequence[str]], Awaitable[None]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._target = target
        self._send = send
        self._waiting = waiting
        self._delivered = delivered
        self._now = monotonic
        self._failed = 0
        self._not_before = 0.0
        self._sent: deque[float] = deque()
        self._in_hand: list[Notice] = []
        self._done: set[str] = set()
        self._expects = True  # an earlier run may have left something

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits for it, as far as it knows."""
        return not (self._expects or self._in_hand or self._done)

    def expect(self) -> None:
        """Tells it that something waits for its target. Until it is told, it does not ask the outbox."""
        self._expects = True

    def hand(self, notices: Sequence[Notice]) -> None:
        """What no journal holds, for it can't be used: delivered from here."""
        self._in_hand = [*self._in_hand, *notices][-100:]

    async def go(self) -> None:
        """Delivers one message, if one waits and its time has come. Waits for its answer."""
        if self._done:
            await self._note()
        now = self._now()
        while self._sent and now - self._sent[0] >= WITHIN_S:
            self._sent.popleft()
        if now < self._not_before or len(self._sent) >= MOST:
            return
        notices = [*self._in_hand, *(await self._held() if self._expects else ())]
        if not notices:
            return
        taken = notices[:1] if len(notices) <= MOST_SINGLE else notices
        title, body = (taken[0].title, taken[0].body) if len(taken) == 1 else words.summary(taken)
        level = max((notice.level for notice in taken), key=LEVELS.index)
        if await self._send(title, body, level):
            await self._arrived(taken)
        else:
            self._not_arrived()

    async def _held(self) -> list[Notice]:
        self._expects = False
        try:
            held = [item for item in await self._waiting(self._target) if item.notice_id not in self._done]
        except JournalUnavailable:  # which the daemon tells
            self._expects = True
            return []
        except Exception:
            self._expects = True
            raise
        self._expects = self._expects or bool(held)
        return held

    async def _arrived(self, taken: Sequence[Notice]) -> None:
        self._sent.append(self._now())
        self._in_hand = [item for item in self._in_hand if item not in taken]
        self._done |= {item.notice_id for item in taken}
        if self._failed:
            log.info("notices_arrive_again", recipient=self._target)
        self._failed, self._not_before = 0, 0.0
        await self._note()

    async def _note(self) -> None:
        try:
            await self._delivered(sorted(self._done))
        except JournalUnavailable:
            return  # remembered here until it can be written
        self._done.clear()

    def _not_arrived(self) -> None:
        if not self._failed:
            log.warning("notices_held_up", recipient=self._target)
        self._not_before = self._now() + min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self._failed)
        self._failed += 1
