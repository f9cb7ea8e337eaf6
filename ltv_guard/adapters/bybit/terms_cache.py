"""Collateral terms of legacy loans, as they were last read (v5/crypto-loan/collateral-coin)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ltv_guard.adapters.bybit.client import BybitClient
from ltv_guard.adapters.bybit.fields import MalformedPayload
from ltv_guard.adapters.bybit.oddities import Reading
from ltv_guard.adapters.bybit.shared_reads import Kept
from ltv_guard.adapters.bybit.terms import Terms, TermsOfLevels, parse_levels
from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.ports import Oddity

TERMS = "/v5/crypto-loan/collateral-data"
NO_TERMS_RETRIED_MS = 10_000  # while there are none at all
RENEWED_WITHIN_S = 2.0  # while those of before serve as well: no loan waits longer for others


async def terms_of_levels(
    client: BybitClient, *, max_age_ms: int, within_s: float | None
) -> Kept[TermsOfLevels]:
    """As some key of this host has read them. Raises ExchangeUnavailable, NeedsHuman."""

    async def read() -> tuple[TermsOfLevels, list[Oddity]]:
        result = await client.get(TERMS, signed=False)
        reading = Reading(TERMS)
        try:
            return parse_levels(result, reading), reading.found
        except MalformedPayload as exc:
            raise ExchangeUnavailable(f"{TERMS}: the terms make no sense: {exc}") from exc

    found = await client.shared.soon(TERMS, read, max_age_ms=max_age_ms, within_s=within_s)
    levels, odd = found.value
    client.oddities.note(TERMS, odd)
    return Kept(value=levels, at_ms=found.at_ms)


class TermsCache:
    """Terms change rarely: read once an hour, or when a coin is missing, at most once a minute.

    They are the same for every key.
    """

    def __init__(self, client: BybitClient) -> None:
        self._client = client
        self._terms: Mapping[str, Terms] = {}
        self._level: str | None = None
        self._tried_level: str | None = None
        self._read_at_ms: int | None = None
        self._tried_at_ms: int | None = None

    @property
    def known(self) -> Mapping[str, Terms]:
        """As they were last read."""
        return self._terms

    async def covering(self, coins: Collection[str], vip_level: str | None) -> Mapping[str, Terms]:
        """Terms for as many of `coins` as the exchange has. An outage is bridged with those of before.

        Raises NeedsHuman.
        """
        now_ms, timing = self._client.clock.now().monotonic_ms, self._client.timing
        if self._is_due(coins, vip_level, now_ms):
            self._tried_at_ms, self._tried_level = now_ms, vip_level
            try:
                differs = vip_level != self._level or not set(coins) <= self._terms.keys()
                # What this one has read already does not hold what it misses; what another has since, may.
                since_ms = max(now_ms - timing.terms_retried_ms, self._read_at_ms or 0)
                kept_ms = now_ms - since_ms if differs else timing.terms_kept_ms
                within_s = RENEWED_WITHIN_S if set(coins) <= self._terms.keys() else None
                found = await terms_of_levels(self._client, max_age_ms=kept_ms - 1, within_s=within_s)
                # A coin that is suddenly missing keeps its terms: its loans must not lose their protection.
                self._terms = {**self._terms, **found.value.at(vip_level)}
                self._read_at_ms, self._level = found.at_ms, vip_level
            except (ExchangeUnavailable, NeedsHuman) as exc:
                # Before they were ever read, orders are guarded by the usual ones.
                reading = Reading(TERMS)
                reading.passes_over("all", exc, "those of before hold, or the usual ones")
                self._client.oddities.note(TERMS, reading.found)
        return self._terms

    def _is_due(self, coins: Collection[str], vip_level: str | None, now_ms: int) -> bool:
        timing = self._client.timing
        if self._tried_at_ms is None:
            return True
        if self._read_at_ms is None:
            return now_ms - self._tried_at_ms >= NO_TERMS_RETRIED_MS
        if now_ms - self._tried_at_ms < timing.terms_retried_ms and vip_level == self._tried_level:
            return False
        is_old = now_ms - self._read_at_ms >= timing.terms_kept_ms
        return is_old or vip_level != self._level or not set(coins) <= self._terms.keys()
