"""What lies in the Funding wallet and in the Unified account."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from decimal import Decimal

import structlog

from ltv_guard.core.ports import AccountExchange, Clock
from ltv_guard.guard.last_known import LastKnown
from ltv_guard.guard.reads.attempts import Attempts
from ltv_guard.guard.snapshot import Snapshot
from ltv_guard.log.alert_repeater import AlertRepeater

log = structlog.stdlib.get_logger()


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
        reads = [self._read_wallet(snapshot, spare)]
        if unified is not None:
            reads.append(self._read_unified(snapshot, unified))
        await asyncio.gather(*reads)

    async def _read_wallet(self, snapshot: Snapshot, spare: Mapping[str, Decimal] | None) -> None:
        wait_s = None if spare is None else self._short_wait_s
        wallet = await self._attempts.read(
            "wallet", self._account.wallet(snapshot.asked_coins), wait_s=wait_s
        )
        if wallet is not None:
            self._last_known.saw_wallet(wallet, snapshot.wallet_began or self._clock.now())
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

    async def _read_unified(self, snapshot: Snapshot, coins: Collection[str]) -> None:
        snapshot.unified = await self._attempts.read("unified", self._account.unified(coins))
