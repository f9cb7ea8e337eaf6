"""An exchange of the model that takes one write at a time."""

from __future__ import annotations

from collections.abc import Callable

from exchange_model import World

TURN_MS = 1_100


def one_at_a_time(
    world: World, meanwhile: Callable[[], None], *, sent: Callable[[], None] = lambda: None
) -> None:
    """One each `TURN_MS`; `meanwhile` happens whenever a turn is waited for, `sent` as one leaves."""
    free_ms = 0

    def turn_comes() -> bool:
        left_ms = free_ms - world.monotonic_ms
        if left_ms <= 0:
            return False
        meanwhile()
        world.advance(left_ms)
        return True

    def leaves(_intent: object) -> None:
        nonlocal free_ms
        free_ms = world.monotonic_ms + TURN_MS
        sent()

    world.turn_comes, world.on_sent = turn_comes, leaves
