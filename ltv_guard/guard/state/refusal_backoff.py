"""What the exchange refused, and until when it is not asked again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import Direction, LoanKey, Moment, Product
from ltv_guard.core.model.timing import TIMING, Backoff
from ltv_guard.guard.state.intent_book import SAME_BODY_MS

PASSING_MS = 8_000  # refused again this long after the first time: it is not transient
LONGEST_BACKOFF_MS = 60_000  # a refusal may end at any time, and the loan may have no other coin


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedCoin:
    """The exchange refused to take (give) a loan's coin: not tried again before `until_ms` (monotonic).

    It has done so without a break since `since_ms`, last at `at_ms`; `lasting`: for a cause that will not
    pass by itself.
    """

    why: str
    count: int
    since_ms: int
    at_ms: int
    until_ms: int
    lasting: bool


class RefusalSubject(NamedTuple):
    """What a refusal is noted of: the coin whose place another could take.

    `pays`: it is collateral that was to pay for a repayment; the coin of a debt may be called the same.
    `contract`: the fixed loan that was to be repaid; another may be all the same.
    """

    direction: Direction
    coin: str
    pays: bool = False
    contract: str | None = None


def subject_of(intent: Intent) -> RefusalSubject:
    """What a refusal of the intent is noted of."""
    return refusal_subject(intent.direction, intent.coin, intent.collateral_coin, intent.contract_id)


def refusal_subject(
    direction: Direction, coin: str, collateral_coin: str | None, contract_id: str | None
) -> RefusalSubject:
    """What a refusal of such a write is noted of."""
    pays = collateral_coin is not None
    return RefusalSubject(direction, collateral_coin or coin, pays=pays, contract=contract_id)


NONE: Mapping[RefusalSubject, RefusedCoin] = {}
NOTHING: Mapping[Any, str] = {}  # one for the many loans of which nothing was refused
NO_COINS: frozenset[str] = frozenset()


@dataclass(slots=True)
class RefusalBackoff:
    """Mutable, owned by one guard. A suspect is an intent that was answered with a code of no table."""

    _waits: Backoff = TIMING.backoff
    _refusals: dict[LoanKey, dict[RefusalSubject, RefusedCoin]] = field(default_factory=dict)
    _suspects: set[str] = field(default_factory=set)

    def forget(self, intent_ids: Collection[str]) -> None:
        """Drops what is known of these intents."""
        self._suspects.difference_update(intent_ids)

    def refuse(
        self,
        key: LoanKey,
        subject: RefusalSubject,
        why: str,
        now: Moment,
        *,
        lasting: bool = False,
        rest_ms: int = 0,
    ) -> RefusedCoin:
        """Notes a refusal; each one that follows at once doubles the rest (ms). It is `rest_ms` at least."""
        last = self._refusals.get(key, NONE).get(subject)
        again = last is not None and now.monotonic_ms < last.until_ms + LONGEST_BACKOFF_MS
        count = last.count + 1 if last is not None and again else 1
        first = self._waits.lasting_ms if lasting else self._waits.first_ms
        wait = max(min(first * 2 ** (count - 1), LONGEST_BACKOFF_MS), rest_ms)
        refusal = RefusedCoin(
            why=why,
            count=count,
            since_ms=last.since_ms if last is not None and again else now.monotonic_ms,
            at_ms=now.monotonic_ms,
            until_ms=now.monotonic_ms + wait,
            lasting=lasting,
        )
        self._refusals.setdefault(key, {})[subject] = refusal
        return refusal

    def put_off(self, key: LoanKey, subject: RefusalSubject, why: str, now: Moment) -> None:
        """The coin can't be sent at the moment, and nobody refused it: the next one has its turn.

        It rests no longer for having been put off before.
        """
        last = self._refusals.get(key, NONE).get(subject)
        again = last is not None and now.monotonic_ms < last.until_ms + LONGEST_BACKOFF_MS
        self._refusals.setdefault(key, {})[subject] = RefusedCoin(
            why=why,
            count=0,
            since_ms=last.since_ms if last is not None and again else now.monotonic_ms,
            at_ms=now.monotonic_ms,
            until_ms=now.monotonic_ms + self._waits.first_ms,
            lasting=False,
        )

    def taken(self, intent: Intent) -> None:
        """The exchange took it: the next refusal is the first again."""
        self._refusals.get(intent.key, {}).pop(subject_of(intent), None)

    def suspect(self, intent: Intent) -> None:
        """Should it turn out to be without effect, the answer was a refusal of its coin."""
        self._suspects.add(intent.intent_id)

    def was_suspect(self, intent: Intent) -> bool:
        """Whether it was one; it is none from now on."""
        if intent.intent_id not in self._suspects:
            return False
        self._suspects.discard(intent.intent_id)
        return True

    # What holds at the moment.

    @property
    def loans(self) -> Collection[LoanKey]:
        """Those of which a refusal is remembered."""
        return self._refusals.keys()

    def refused(self, key: LoanKey, direction: Direction, now: Moment) -> Mapping[str, str]:
        """Coin -> why the exchange will not take (give) it for this loan for now."""
        return self._why(key, now, direction, pays=False)

    def unsellable(self, key: LoanKey, now: Moment) -> Mapping[str, str]:
        """Coin of collateral -> why the exchange will not take it for a repayment for now."""
        return self._why(key, now, Direction.REPAY, pays=True)

    def unsellable_for(self, key: LoanKey, now: Moment) -> Mapping[tuple[str, str], str]:
        """Contract and coin of collateral -> why the exchange will not take the one for the other for now."""
        if key not in self._refusals:
            return NOTHING
        return {
            (subject.contract, subject.coin): item.why
            for subject, item in self._refusals[key].items()
            if subject.contract is not None and subject.pays and now.monotonic_ms < item.until_ms
        }

    def unpayable_contracts(self, key: LoanKey, now: Moment) -> Mapping[str, str]:
        """Contract -> why the exchange will not have it repaid from the wallet for now."""
        return {
            subject.contract: item.why
            for subject, item in self._refusals.get(key, NONE).items()
            if subject.contract is not None and not subject.pays and now.monotonic_ms < item.until_ms
        }

    def _why(self, key: LoanKey, now: Moment, direction: Direction, *, pays: bool) -> Mapping[str, str]:
        if key not in self._refusals:
            return NOTHING
        return {
            subject.coin: item.why
            for subject, item in self._refusals[key].items()
            if subject.direction is direction
            and subject.pays is pays
            and subject.contract is None
            and now.monotonic_ms < item.until_ms
        }

    def unmovable(self, now: Moment) -> dict[str, str]:
        """Coin -> why the exchange refused its last transfer."""
        return {
            coin: item.why
            for key, refused in self._refusals.items()
            for (way, coin, *_), item in refused.items()
            if way is Direction.TRANSFER
            and key == LoanKey(Product.FUNDING, coin)
            and now.monotonic_ms < item.until_ms
        }

    def shunned(self, key: LoanKey, direction: Direction, now: Moment) -> Mapping[str, str]:
        """Coin -> why it was refused within a minute: tried again where no other coin helps."""
        if key not in self._refusals:
            return NOTHING
        return {
            coin: item.why
            for (way, coin, pays, _), item in self._refusals[key].items()
            if way is direction and not pays and now.monotonic_ms < item.at_ms + SAME_BODY_MS
        }

    def passing(self, key: LoanKey | None, direction: Direction, now: Moment) -> frozenset[str]:
        """Coins refused for this loan (None: any) that the exchange may take (give, move) at the next try."""
        if key is not None and key not in self._refusals:
            return NO_COINS
        loans = self._refusals.values() if key is None else (self._refusals[key],)
        return frozenset(
            coin
            for refused in loans
            for (way, coin, *_), item in refused.items()
            if way is direction
            and now.monotonic_ms < item.until_ms
            and not item.lasting
            and now.monotonic_ms - item.since_ms < PASSING_MS
        )
