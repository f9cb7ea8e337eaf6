"""Where an account stands with the exchange: whose key it is, and whether it may write."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import structlog

from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.model.key_end import due_notice
from ltv_guard.core.model.loans import Owner
from ltv_guard.core.ports import AccountExchange, Clock, Identity
from ltv_guard.guard.reporter import Reporter
from ltv_guard.guard.snapshot import GuardOptions

MAY_NOT_ADJUST = "the key may not adjust loans: give it 'Spot trade', read-write"

log = structlog.stdlib.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lost:
    """Why nothing may be written, and when (monotonic) the key was last asked about."""

    asked_ms: int
    why: str
    mend: str
    code: int | None


class KeyAccess:
    """Asks the exchange about the key. `claim` hears whose it is, and may refuse it (NeedsHuman)."""

    def __init__(
        self,
        options: GuardOptions,
        account: AccountExchange,
        clock: Clock,
        report: Reporter,
        claim: Callable[[Identity], Awaitable[None]] | None,
    ) -> None:
        self._options = options
        self._account = account
        self._clock = clock
        self._report = report
        self._claim = claim
        self._lost: _Lost | None = None
        self._asked_ms = clock.now().monotonic_ms
        self._ends_at_ms: int | None = None

    @property
    def is_lost(self) -> bool:
        """Whether nothing may be written until a person has mended something."""
        return self._lost is not None

    async def know(self) -> Owner | None:
        """Whose key it is; None, and said, while the exchange does not tell."""
        try:
            identity = await self._account.identify()
            if self._claim is not None:
                await self._claim(identity)
        except (ExchangeUnavailable, NeedsHuman) as error:
            self._report.blind("account", error)
            return None
        self._report.recovered("account")
        self._ends_at_ms = identity.expires_at_ms
        self._tell_end()
        self._report.key.rights(identity, live=self._options.live, transfers=self._options.transfers)
        if self._options.live and not identity.can_adjust:
            self.lose(MAY_NOT_ADJUST)
        return Owner(self._options.environment, identity.user_id)

    async def look_again(self) -> None:
        """Each hour, what may have changed: the VIP level, which terms go by; the key's end. Never fails."""
        self._tell_end()
        now_ms = self._clock.now().monotonic_ms
        if self._claim is None or now_ms - self._asked_ms < self._options.timing.key_look_ms:
            return
        self._asked_ms = now_ms
        try:
            identity = await self._account.identify()
            await self._claim(identity)
        except (ExchangeUnavailable, NeedsHuman) as error:
            log.debug("key_not_asked_again", why=str(error))
        else:
            self._ends_at_ms = identity.expires_at_ms

    def _tell_end(self) -> None:
        """Whether the key ends soon, as far as is known. A key that is bound to an address may end too."""
        now_ms = self._clock.now().exchange_ms
        self._report.key.end(self._ends_at_ms, due_notice(self._ends_at_ms, now_ms), now_ms)

    def lose(self, why: str, *, mend: str = "", code: int | None = None) -> None:
        """The exchange refuses this key: stop writing for the account, and go on watching."""
        self._lost = _Lost(asked_ms=self._clock.now().monotonic_ms, why=why, mend=mend, code=code)
        self._report.key.human(why, mend, code)

    async def why_not(self) -> str | None:
        """The cause while it lasts. Each minute the key is tried; writing resumes once it answers well."""
        lost = self._lost
        if lost is None:
            return None
        now_ms = self._clock.now().monotonic_ms
        if now_ms - lost.asked_ms >= self._options.timing.key_probe_ms:
            self._lost = lost = None if await self._answers_well() else replace(lost, asked_ms=now_ms)
        if lost is None:
            self._report.key.human(None)
            return None
        self._report.key.human(lost.why, lost.mend, lost.code)
        return lost.why

    async def _answers_well(self) -> bool:
        try:
            return (await self._account.identify()).can_adjust
        except (ExchangeUnavailable, NeedsHuman) as error:
            log.debug("probe_failed", why=str(error))
            return False
