"""Who waits for a turn to write, in which order: by prices of now, of what was read a while ago. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import islice
from statistics import median_low

from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.loans import Kind, Loan, LoanKey
from ltv_guard.core.reconcile.plausibility import Bearing
from ltv_guard.core.watch.pair_lines import Pair, pair_of, ratio_of
from ltv_guard.core.watch.time_left import Falling, seconds_left
from ltv_guard.guard.appraised import Appraised
from ltv_guard.guard.lane import Lane, Prices
from ltv_guard.guard.snapshot import Snapshot

AT_MOST_LATE_S = 3  # by so much the time that is left to loans may be misjudged
TOO_LATE_S = Decimal("0.15")  # an adjustment that is decided on now has not arrived before
UNREAD_S = Decimal("0.2")  # nor before that where prices tell of the loan, and it is to be read first
READ_LATER_S = Decimal("0.3")  # nor before that where others were read for this turn, and it was not
READ_S = 1  # a loan that was not read for this turn counts as having so much more: its read may take the turn
CERTAIN_S = Decimal("1.5")  # who has that long is there once a loan was read and an adjustment has arrived
LIKE = Decimal("0.01")  # by no more than this an LTV by amounts may differ from the one shown
ONE = Decimal(1)


class LineUp:
    """Of one lane, at one moment."""

    def __init__(self, falling: Falling, snapshot: Snapshot, lane: Lane, prices: Prices) -> None:
        self._falling = falling
        self._snapshot = snapshot
        self._lane = lane
        self._prices = prices
        self._listed: Mapping[LoanKey, Loan] = {loan.key: loan for loan in snapshot.books[lane.product].loans}
        self._factors: dict[tuple[Pair, int], tuple[Decimal, Decimal]] = {}
        self._told: dict[tuple[Pair, int], list[Decimal]] = {}
        self._shown: set[Pair] = set()
        self._debt_prices = self._learned_prices()
        self._doubted: dict[LoanKey, Decimal] = {}

    def order(self) -> list[LoanKey]:
        """Who asks for this kind of write now, or may once read: whose time ends first, what is odd last.

        Whom prices put beyond liquidation since it was read, or who will be by the time that help is there,
        comes after those that can be saved for certain: to find it gone takes a read, and hundreds may pass
        that line at once. Where one is found gone, whoever had less than twice its time counts as gone too.
        """
        ranks, lane = {}, self._lane
        too_late_s = self._too_late_s()
        for key, decision in lane.decisions.items():
            loan = self._listed.get(key)
            if loan is None:
                continue
            moved, most = self._moved(loan)
            if decision.kind is lane.kind or self._will_ask(decision, loan.ltv * moved):
                speeds = self._falling.speeds(loan)
                left_s, least_s = (seconds_left(loan.danger * factor, *speeds) for factor in (moved, most))
                is_sound = decision.bearing is not Bearing.CONTRADICTED
                is_there = decision.loan.danger >= 1 or least_s > self._needs_s(loan, too_late_s)
                read_s = READ_S if self._is_read_later(key) else 0
                ranks[key] = (is_sound, is_there, -left_s - read_s)
                if is_sound and not is_there:
                    self._doubted[key] = least_s
        return sorted(ranks, key=ranks.__getitem__, reverse=True)

    def first(self) -> list[LoanKey]:
        """Whom to read for a turn, what matters most first: a second may have room for two of them at once.

        The first who waits. One that prices put beyond liquidation, by the least: it may be there, and is
        passed over till it is read. The first of another pair of coins: their speeds may have changed places.
        And one that will be there for certain by prices of now, for the very first may be gone.
        """
        waiting = self._lane.waiting
        first = waiting[:1]
        if doubted := [key for key in waiting if key in self._doubted]:
            first.append(max(doubted, key=self._doubted.__getitem__))
        pairs = {self._pair_of(key) for key in first[:1]}
        first += islice((key for key in waiting if self._pair_of(key) not in pairs), 1)
        certain = (key for key in waiting[1:] if self._least_left_s(self._listed.get(key)) > CERTAIN_S)
        first += islice(certain if self._prices else waiting[1:], 1)
        return list(dict.fromkeys(first))

    def learn(self) -> None:
        """For turns to come: at which prices loans were listed, as those show that were read for this one.

        A price that was told a tenth of a second before can make a loan count as gone that has half a second.
        """
        for (pair, asked_ms), prices in self._told.items():
            now, price = self._debt_prices[pair], median_low(prices)
            if pair in self._shown and _is_like(price, now) and (then := self._falling.at(pair, asked_ms)):
                self._falling.showed(pair, asked_ms, then * now / price)

    def _asked_ms(self, loan: Loan) -> int:
        return self._snapshot.asked_at(loan.key).monotonic_ms

    def _is_read_later(self, key: LoanKey) -> bool:
        return bool(self._lane.chosen) and key not in self._lane.chosen

    def _needs_s(self, loan: Loan, too_late_s: Mapping[Pair | None, Decimal]) -> Decimal:
        """Who will be liquidated sooner than that is lost before help is there."""
        if loan.key in self._lane.chosen:
            return TOO_LATE_S
        unread_s = READ_LATER_S if self._is_read_later(loan.key) else UNREAD_S
        return max(unread_s, too_late_s.get(pair_of(loan), unread_s))

    def _too_late_s(self) -> dict[Pair | None, Decimal]:
        """By pair of coins: twice the time that was left, as far as was known, to one that is gone by now."""
        found: dict[Pair | None, Decimal] = {}
        for loan in self._lane.gone.values():
            left_s = self._least_left_s(loan)
            if left_s < AT_MOST_LATE_S:  # others are gone for another reason
                found[pair_of(loan)] = max(2 * left_s, found.get(pair_of(loan), UNREAD_S))
        return found

    def _will_ask(self, decision: Decision, ltv: Decimal) -> bool:
        """Whether a loan that was below its trigger when it was decided on is at it by now, by prices."""
        found = self._snapshot.appraised.get(decision.loan.key)
        if decision.acts or self._lane.kind is not Kind.ADJUSTMENT or not isinstance(found, Appraised):
            return False
        return found.loan.ltv < found.limits.trigger <= ltv

    def _least_left_s(self, loan: Loan | None) -> Decimal:
        """Until it is liquidated, at the worst price since it was read: who was beyond that is gone."""
        if loan is None:
            return Decimal(0)
        return seconds_left(loan.danger * self._moved(loan)[1], *self._falling.speeds(loan))

    def _learned_prices(self) -> dict[Pair, Decimal]:
        """By pair of coins: what a coin of debt costs now in coins of collateral, by most orders' LTVs.

        By those alone that were read for this turn, where they bear the others out: the others were read at
        prices that nobody told of at that very moment.
        """
        told: dict[Pair, list[Decimal]] = {}
        told_now: dict[Pair, list[Decimal]] = {}
        for key, loan in self._listed.items():
            if (pair := pair_of(loan)) is not None and (burden := _burden(loan)) and loan.ltv:
                price = loan.ltv * self._moved_by_prices(loan, pair)[0] / burden
                told.setdefault(pair, []).append(price)
                self._told.setdefault((pair, self._asked_ms(loan)), []).append(price)
                if key in self._lane.chosen:
                    told_now.setdefault(pair, []).append(price)
        learned = {pair: median_low(prices) for pair, prices in told.items()}
        for pair, prices in told_now.items():
            if like := [price for price in prices if _is_like(price, learned[pair])]:
                learned[pair] = median_low(like)
                self._shown.add(pair)
        return learned

    def _moved(self, loan: Loan) -> tuple[Decimal, Decimal]:
        """The factors by which an order's LTV moved since it was read: until now, and at the worst price.

        Each was read at a price that is known only so well, so that two which are nearly equal could change
        places: where an order's amounts bear out what prices tell of it, they tell it more exactly.
        """
        pair = pair_of(loan)
        if pair is None:
            return ONE, ONE
        moved, most = self._moved_by_prices(loan, pair)
        ltv = self._debt_prices.get(pair, 0) * _burden(loan)
        if not loan.ltv or not _is_like(ltv, loan.ltv * moved):
            return moved, most
        return ltv / loan.ltv, most / moved * ltv / loan.ltv

    def _moved_by_prices(self, loan: Loan, pair: Pair) -> tuple[Decimal, Decimal]:
        asked_ms = self._asked_ms(loan)
        if loan.key in self._lane.read:  # at prices of its own
            return self._factors_of(loan, pair, asked_ms)
        if (pair, asked_ms) not in self._factors:
            self._factors[pair, asked_ms] = self._factors_of(loan, pair, asked_ms)
        return self._factors[pair, asked_ms]

    def _factors_of(self, loan: Loan, pair: Pair, asked_ms: int) -> tuple[Decimal, Decimal]:
        then = self._falling.at(pair, asked_ms) or ratio_of(pair, self._lane.prices_of(loan.key))
        now, worst = ratio_of(pair, self._prices), self._falling.worst(pair, asked_ms)
        moved = then / now if then and now else ONE
        return moved, max(moved, then / worst) if then and worst else moved

    def _pair_of(self, key: LoanKey) -> Pair | None:
        loan = self._listed.get(key)
        return None if loan is None else pair_of(loan)


def _is_like(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) <= LIKE * other


def _burden(loan: Loan) -> Decimal:
    """Coins of debt for one of collateral; 0 where one of the two is not known."""
    held, owed = loan.collateral[0], loan.debts[0]
    return Decimal(0) if held.unread or owed.unread or not held.amount else owed.amount / held.amount
