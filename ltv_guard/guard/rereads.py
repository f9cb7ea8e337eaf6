"""A loan whose only read is old or odd is read once more before anything is done about it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Sequence

from ltv_guard.core.amounts.composition import is_one_sized_by_prices
from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.decide.facts import AccountFacts, LoanFacts
from ltv_guard.core.decide.reread import asks_for_another_read, asks_for_other_prices
from ltv_guard.core.model.loans import LoanKey, Moment, Product
from ltv_guard.core.ports import Clock
from ltv_guard.guard.appraisal import Appraisal
from ltv_guard.guard.reads.loans_at_once import TOGETHER_S
from ltv_guard.guard.reads.reads import Reads
from ltv_guard.guard.snapshot import GuardOptions, Snapshot
from ltv_guard.guard.words import Words

A_FEW = 3  # times as long: to wait for room, and to be answered
AT_MOST = 2  # so often within a cycle, where a loan is shown as it was before an adjustment


class Rereads:
    """A loan that can't be read again, or not soon, stays as it is: its first read is all that is known."""

    def __init__(
        self,
        reads: Reads,
        appraisal: Appraisal,
        clock: Clock,
        words: Words,
        options: GuardOptions,
    ) -> None:
        self._loans = reads.loans
        self._prices = reads.prices
        self._appraisal = appraisal
        self._clock = clock
        self._grace_s = options.grace_s
        # Whoever waits beside the one that is read has facts that grow old meanwhile.
        self._longest_s = options.max_snapshot_age_ms / 2000
        self._hung: dict[LoanKey, Moment] = {}
        self._report = words.report.loans
        self._contradictions = words.contradictions
        self._defects = words.defects

    async def of_one(self, snapshot: Snapshot, key: LoanKey) -> bool:
        """Whether the loan could be read by its id. Where that has just hung, it is not tried again at once.

        A second wait as long would make what a list shows of it too old to act on.
        """
        began, longest_ms = self._clock.now(), 1000 * self._longest_s
        hung = self._hung.pop(key, None)
        if hung is not None and began.ms_since(hung) < longest_ms:
            return False
        came = await self._loans.read_again(snapshot, key, wait_s=self._longest_s)
        if not came and self._clock.now().ms_since(began) >= longest_ms:
            self._hung[key] = self._clock.now()
        return came

    async def for_turn(self, snapshot: Snapshot, product: Product, keys: Sequence[LoanKey]) -> None:
        """What may have changed until a turn came: prices, and all loans of the product if they are one page.

        Of more pages, those loans alone. Orders do without prices where these take longer.
        """
        book = snapshot.books[product]
        prices = asyncio.create_task(self._prices.refresh(snapshot))
        try:
            if book.pages == 1:
                await self._loans.read_all_again(snapshot, product, wait_s=self._longest_s)
            else:
                await self._of_some(snapshot, keys)
            needed = is_one_sized_by_prices(book.loans)
            await asyncio.wait({prices}, timeout=self._longest_s if needed else self._grace_s)
        finally:
            prices.cancel()

    async def _of_some(self, snapshot: Snapshot, keys: Sequence[LoanKey]) -> None:
        """The one whose turn it is waits for those alone that come with it: others may have to wait for room.

        Where it is late, or gone, what takes its place is waited for, a few times as long as the first took.
        """
        began = self._clock.now()
        reads = {asyncio.ensure_future(self.of_one(snapshot, key)): key for key in keys}
        if not reads:
            return
        try:
            done, left = await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
            longest_s = min(A_FEW * self._clock.now().ms_since(began) / 1000, self._grace_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(longest_s):
                    while left and not _are_there(snapshot, [reads[read] for read in done]):
                        done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            if left:
                await asyncio.wait(left, timeout=min(longest_s, TOGETHER_S))
        finally:
            for read in reads:
                read.cancel()
            found = await asyncio.gather(*reads, return_exceptions=True)
        if errors := [item for item in found if isinstance(item, Exception)]:
            raise errors[0]

    async def of_what_is_old(self, snapshot: Snapshot) -> None:
        """Loans as they were before an adjustment that had been shown: another place may answer next."""
        for _ in range(AT_MOST):
            back = self._appraisal.appraise_adjusted(snapshot, self._clock.now())
            if not back:
                return
            self._report.shown_as_before(back)
            await asyncio.gather(*(self.of_one(snapshot, loan.key) for loan in back))

    async def of_what_is_odd(
        self, snapshot: Snapshot, account: AccountFacts, decisions: Sequence[Decision]
    ) -> bool:
        """Loans and prices that are out of the ordinary: a round trip, not a poll. Whether there were any."""
        facts_of = _facts_of(account, decisions)
        odd = [item for item in decisions if asks_for_another_read(facts_of[item.loan.key], item)]
        parted = frozenset() if snapshot.quotes is None else snapshot.quotes.parted
        prices = any(asks_for_other_prices(item.loan, item, parted) for item in decisions)
        if not odd and not prices:
            return False
        await self._look_twice(snapshot, [item.loan.key for item in odd])
        with self._defects.contained("reporting what was read again"):
            self._contradictions.read_again(snapshot.before, snapshot.loans)
        return True

    async def _look_twice(self, snapshot: Snapshot, keys: Collection[LoanKey]) -> None:
        reads = [self._look_twice_at(snapshot, key) for key in keys]
        if snapshot.prices is not None:
            reads.append(self._prices.read_again(snapshot))
        await asyncio.gather(*reads)

    async def _look_twice_at(self, snapshot: Snapshot, key: LoanKey) -> None:
        first = next((loan for loan in snapshot.loans if loan.key == key), None)
        if await self.of_one(snapshot, key) and first is not None:
            snapshot.before[key] = first


def _facts_of(account: AccountFacts, decisions: Sequence[Decision]) -> dict[LoanKey, LoanFacts]:
    """By loan. Those that were read by themselves stand last: of a thousand loans they are soon found."""
    wanted = {item.loan.key for item in decisions}
    found: dict[LoanKey, LoanFacts] = {}
    for facts in reversed(account.loans):
        if len(found) == len(wanted):
            break
        if facts.loan.key in wanted:
            found[facts.loan.key] = facts
    return found


def _are_there(snapshot: Snapshot, keys: Collection[LoanKey]) -> bool:
    return any(loan.key in keys for loan in snapshot.loans)
