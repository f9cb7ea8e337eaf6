"""Tells a dead man's switch that all is well, for as long as it is. Beside the cycles: none waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from ltv_guard.adapters.deadman import DeadmanUrl
from ltv_guard.core.model.status import Health
from ltv_guard.guard.defects import Defects
from ltv_guard.service.rounds import rounds

START, ALIVE, FAIL = "start", "alive", "fail"
LOOK_S = 1.0
AGAIN_S = 10.0  # a signal that nobody heard is tried again after this

log = structlog.stdlib.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """Where to tell it, and how often. `url` None: nowhere."""

    url: str | None
    interval_s: float


class Deadman:
    """`post` and `health` are asked anew at each look: both may change. One that fails tells nothing."""

    def __init__(
        self,
        post: Callable[[], Post],
        health: Callable[[], Health],
        defects: Defects,
        *,
        look_s: float = LOOK_S,
    ) -> None:
        self._post = post
        self._health = health
        self._defects = defects
        self._look_s = look_s
        self._url: str | None = None
        self._told = ""
        self._due = 0.0
        self._unheard = False

    async def watch(self) -> None:
        """Until it is cancelled."""
        await rounds("the dead man's switch", self._look, self._look_s, self._defects)

    async def _look(self) -> None:
        post, health = self._post(), self._health()
        if post.url != self._url:
            self._url, self._told, self._due = post.url, "", 0.0
        word = _word(health)
        is_news = word != self._told
        is_early = time.monotonic() < self._due and (self._unheard or not is_news)
        if post.url is None or is_early or (word == START and not is_news):
            return
        why = await _tell(DeadmanUrl(post.url), word, health)
        self._due = time.monotonic() + (post.interval_s if why is None else min(AGAIN_S, post.interval_s))
        self._told = word if why is None else ""
        if why is not None and not self._unheard:
            log.error("deadman_unreachable", why=why)
        elif why is None and self._unheard:
            log.info("deadman_reachable")
        self._unheard = why is not None


def _word(health: Health) -> str:
    """That it has started is told while accounts await their first cycle and nothing is wrong."""
    if health.troubles:
        return FAIL
    return START if health.unseen else ALIVE


async def _tell(deadman: DeadmanUrl, word: str, health: Health) -> str | None:
    """None, or why it was not heard."""
    if word == START:
        return await deadman.starts()
    if word == ALIVE:
        return await deadman.alive()
    return await deadman.fails("; ".join(f"{name}: {why}" for name, why in health.troubles.items()))
