"""What lies in the Funding wallet and in the Unified account."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal

import structlog

from ltv_guard.core.model.loans import Loan, Moment
from ltv_guard.core.ports import AccountExchange, Clock
from ltv_guard.guard.last_known import LastKnown
from ltv_guard.guard.reads.attempts import Attempts
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.log.alert_repeater import AlertRepeater

log = structlog.stdlib.get_logger()

KEPT_MS = 300_000  # a reading of the wallet that is not older will do, should it not answer in an emergency
A_FEW = 3  # times as long as the wallet took


class Balances:
    """`short_wait_s`: how long the wallet is waited for where an older reading would do."""

    def __init__(
        self,
        account: AccountExchange,
        attempts: Attempts,
        last_known: LastKnown,
        clock: Clock,
        alerts: AlertRepeater,
        *,
        short_wait_s: float,
    ) -> None:
        self._account = account
        self._attempts = attempts
        self._last_known = last_known
        self._clock = clock
        self._alerts = alerts
        self._short_wait_s = short_wait_s
        self._read_at: Moment | None = None
        self._beside: asyncio.Task[None] | None = None

    def keep_at_hand(self, loans: Iterable[Loan]) -> None:
        """Begins to read what the wallet has for them, if that was long ago: later it may not answer."""
        began = self._clock.now()
        if self._beside is not None and not self._beside.done():
            return
        if self._read_at is None or began.ms_since(self._read_at) >= KEPT_MS:
            coins = {held.coin for loan in loans for held in loan.collateral}
            self._beside = asyncio.create_task(self._read_beside(coins, began))

    async def _read_beside(self, coins: Collection[str], began: Moment) -> None:
        wallet = await self._attempts.read("wallet", self._account.wallet(coins))
        is_newest = self._read_at is None or began.ms_since(self._read_at) >= 0
        if wallet is not None and is_newest:
            self._saw(wallet, began)

    async def close(self) -> None:
        """Ends what is still being read beside the cycles."""
        if self._beside is not None:
            self._beside.cancel()
            await asyncio.wait([self._beside])

    async def read(
        self,
        snapshot: Snapshot,
        coins: Collection[str],
        unified: Collection[str] | None,
        spare: Mapping[str, Decimal] | None,
    ) -> None:
        """Balances of `coins` in the wallet, and of `unified` (None: nothing) in the Unified account.

        `spare`, an older reading of the wallet, is for what does not come at once or is unread.
        """
        snapshot.wallet_began = self._clock.now()
        snapshot.asked_coins = frozenset(coins)
        if unified is None:
            await self._read_wallet(snapshot, spare)
            return
        other = asyncio.create_task(self._attempts.read("unified", self._account.unified(unified)))
        try:
            await self._read_wallet(snapshot, spare)
            # Coins may lie in the wallet: what could come there besides is not waited for without end.
            took_s = self._clock.now().ms_since(snapshot.wallet_began) / 1000
            longest_s = max(self._short_wait_s, A_FEW * took_s)
            await asyncio.wait({other}, timeout=longest_s)
            if other.done():
                snapshot.unified = other.result()
            else:
                self._attempts.came_too_late("unified", longest_s)
        finally:
            other.cancel()

    def _saw(self, wallet: Mapping[str, Decimal], began: Moment) -> None:
        self._last_known.saw_wallet(wallet, began)
        self._read_at = began

    async def _read_wallet(self, snapshot: Snapshot, spare: Mapping[str, Decimal] | None) -> None:
        wait_s = None if spare is None else self._short_wait_s
        wallet = await self._attempts.read(
            "wallet", self._account.wallet(snapshot.asked_coins), wait_s=wait_s
        )
        if wallet is not None:
            self._saw(wallet, snapshot.wallet_began or self._clock.now())
            snapshot.wallet = wallet
            snapshot.fill_unread(spare)
            if self._alerts.ended("old wallet"):
                log.info("wallet_fresh_again")
        elif spare is not None:
            snapshot.wallet, snapshot.wallet_is_old = spare, True
            age_ms = self._last_known.wallet_age_ms(self._clock.now()) or 0
            self._alerts.once(
                "old wallet",
                "warning",
                "wallet_not_fresh",
                why="the Funding wallet does not answer; in an emergency its last balance counts",
                seconds=age_ms // 1000,
            )
