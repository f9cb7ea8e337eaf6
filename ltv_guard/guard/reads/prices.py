"""What coins are worth, and a second look at that."""

from __future__ import annotations

from ltv_guard.core.ports import AccountExchange
from ltv_guard.guard.reads.attempts import Attempts
from ltv_guard.guard.snapshot import Snapshot


class Prices:
    """`short_wait_s`: how long a second look may take."""

    def __init__(self, account: AccountExchange, attempts: Attempts, *, short_wait_s: float) -> None:
        self._account = account
        self._attempts = attempts
        self._short_wait_s = short_wait_s

    async def read(self, snapshot: Snapshot) -> None:
        """USD per coin."""
        snapshot.prices = await self._attempts.read("prices", self._account.prices())

    async def refresh(self, snapshot: Snapshot) -> None:
        """Those of now, in the place of the last ones."""
        found = await self._attempts.read(
            "prices again", self._account.prices(again=True), wait_s=self._short_wait_s
        )
        if found is None:
            return
        if snapshot.prices_again is None:
            snapshot.prices = found
        else:
            snapshot.prices_again = found

    async def read_again(self, snapshot: Snapshot) -> None:
        """Not those of a moment ago."""
        snapshot.prices_again = await self._attempts.read(
            "prices again", self._account.prices(again=True), wait_s=self._short_wait_s
        )
