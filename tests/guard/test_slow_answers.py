"""Where answers take long the next add leaves in its turn, beside those that wait for theirs."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from decimal import Decimal
from typing import Self

import pytest
from exchange_model import Kinds, a_guard, a_world, key_of
from slow_lives import TURN_MS, UNHURRIED, UnhurriedLoans, UnhurriedWorld

from ltv_guard.adapters.bybit.answers import WriteLimited
from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.errors import JournalUnavailable, WriteOutcomeUnknown
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction
from ltv_guard.core.ports import SignedAdjustment
from ltv_guard.guard.snapshot import CycleResult
from ltv_guard.guard.under_way import AT_MOST

SIX = ("0.80", "0.79", "0.78", "0.77", "0.765", "0.76")


class Account:
    """One that breaches. `back_ms`: so long an answer to a write takes, once it has had its effect.

    `streams`: its loans are two pages, and prices are streamed.
    """

    def __init__(
        self,
        *ltvs: str,
        back_ms: int = 3_000,
        wallet: str = "100",
        proven: bool = True,
        kinds: Kinds = UNHURRIED,
        streams: bool = False,
    ) -> None:
        plain = a_world(*ltvs, "0.50", wallet=wallet)
        self.world = UnhurriedWorld(loans=plain.loans, wallet=plain.wallet, unified=plain.unified)
        if proven:
            self.world.move(key_of(len(ltvs) + 1), Direction.ADD, Decimal("0.05"), None)
        self.world.advance(1_000)
        self.world.back_ms = back_ms
        self.journal = MemoryJournal()
        numbers = itertools.count(1)
        self.world.rows_per_page = 2 if streams else 100
        self.guard = a_guard(
            self.world,
            self.journal,
            ids=lambda: f"i{next(numbers)}",
            kinds=kinds,
            streamed=(lambda: {"BTC": self.world.price, "USDT": Decimal(1)}) if streams else dict,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.world.loop.close()

    def cycle(self) -> CycleResult:
        return self.world.loop.run_until_complete(self.guard.cycle())

    @property
    def whom(self) -> list[str]:
        return [intent.key.loan_id for intent, _ in self.world.left_ms]

    @property
    def apart_ms(self) -> list[int]:
        times = [ms for _, ms in self.world.left_ms]
        return [later - sooner for sooner, later in itertools.pairwise(times)]

    @property
    def states(self) -> list[State]:
        return [item.state for item in self.journal.snapshot().intents.values()]


@pytest.mark.parametrize("read_ms", [50, 1_500], ids=["reads are quick", "reads are slow"])
def test_the_next_leaves_in_its_turn_though_the_one_before_is_not_answered(read_ms: int) -> None:
    with Account(*SIX[:3]) as account:
        account.world.read_ms = read_ms
        account.cycle()
        assert account.whom == ["1", "2", "3"]
        assert account.apart_ms[0] <= TURN_MS + 100
        assert max(account.apart_ms) <= TURN_MS + read_ms
        assert account.world.most >= 2
        assert account.states == [State.ACCEPTED] * 3


@pytest.mark.parametrize("per_page", [2, 100])
@pytest.mark.parametrize("by", ["0.985", "1"], ids=["crosses", "does not after all"])
def test_one_that_crosses_while_an_answer_is_awaited_does_not_wait_for_that(per_page: int, by: str) -> None:
    with Account("0.749", "0.74", streams=True) as account:
        world, guard = account.world, account.guard
        world.rows_per_page = per_page

        def falls(number: int, by: str) -> None:
            world.now()
            world.price *= Decimal(by)
            world.note()
            guard.urge([key_of(number)])

        async def go() -> None:
            await guard.cycle()
            await asyncio.sleep(2)
            falls(1, "0.995")
            cycle = asyncio.ensure_future(guard.cycle())
            while not world.unanswered:  # noqa: ASYNC110 - made-up time
                await asyncio.sleep(0.05)
            await asyncio.sleep(2)
            falls(2, by)
            await cycle

        world.loop.run_until_complete(go())
        assert account.whom == (["1"] if by == "1" else ["1", "2"])
        assert all(ms < 2_500 for ms in account.apart_ms)


def test_what_is_answered_in_time_is_waited_for() -> None:
    with Account(*SIX, back_ms=900) as account:
        account.cycle()
        assert account.whom == ["1", "2", "3", "4", "5", "6"]
        assert account.world.most == 1


def test_a_few_are_unanswered_at_most() -> None:
    with Account(*SIX, "0.755", back_ms=20_000) as account:
        account.cycle()
        assert account.world.most == AT_MOST


@pytest.mark.parametrize("history_down", [False, True])
def test_none_leaves_beside_one_before_it_is_known_that_adds_add(*, history_down: bool) -> None:
    with Account(*SIX, proven=False) as account:
        account.world.history_down = history_down
        account.cycle()
        assert account.world.most == 1
        account.world.advance(12_000)  # so long the first one's row is waited for
        account.cycle()
        assert len(account.whom) > 2
        assert (account.world.most == 1) is history_down


def test_what_is_released_leaves_beside_nothing() -> None:
    with Account("0.38", "0.37", "0.36") as account:
        account.world.read_ms = 700
        for _ in range(30):
            account.cycle()
            account.world.advance(1_000)
        released = [intent.direction for intent, _ in account.world.left_ms]
        assert released == [Direction.REDUCE] * 3
        assert account.world.most == 1


def test_no_add_leaves_beside_what_is_released() -> None:
    with Account("0.36", "0.355", "0.64") as account:

        def breaches(_intent: Intent) -> None:
            if len(account.whom) == 1:
                account.world.loans[key_of(3)].debt *= Decimal("1.25")

        account.world.on_sent = breaches
        for _ in range(20):
            account.cycle()
            account.world.advance(1_000)
        directions = [intent.direction for intent, _ in account.world.left_ms]
        assert directions[0] is Direction.REDUCE
        assert Direction.ADD in directions
        assert account.world.most == 1


def test_where_reads_are_quick_each_amount_is_of_facts_from_after_its_turn() -> None:
    with Account(*SIX[:3]) as account:

        def falls_once(_intent: Intent) -> None:
            if len(account.world.sent) == 1:
                account.world.price *= Decimal("0.98")

        account.world.on_sent = falls_once
        account.cycle()
        led = {row.shown.key: row.shown.ltv_after for row in account.world.rows if row.intent_id}
        assert account.world.most > 1
        assert abs((led[key_of(3)] or 0) - Decimal("0.65")) < Decimal("0.0005")


class SlowToSign(UnhurriedLoans):
    async def sign(self, intent: Intent) -> SignedAdjustment:
        if not self.world.left_ms:
            await self.world.passes(1_500)
        return await super().sign(intent)


def test_none_leaves_before_the_one_that_had_its_turn_first() -> None:
    with Account(*SIX[:3], kinds=replace(UNHURRIED, loans=SlowToSign)) as account:
        account.cycle()
        assert account.whom == ["1", "2", "3"]


def test_after_a_refusal_each_waits_for_the_answer_to_the_one_before() -> None:
    with Account(*SIX[:4], back_ms=1_500) as account:
        account.world.answers = ["refused_coin"]
        account.cycle()
        assert account.whom == ["1", "2", "3", "4"]
        assert [ms > 1_500 for ms in account.apart_ms] == [False, True, True]


@pytest.mark.parametrize("answer", ["gone", "in_liquidation"])
def test_that_a_loan_is_gone_holds_up_no_other(answer: str) -> None:
    with Account(*SIX[:4], back_ms=1_500) as account:
        account.world.answers = [answer]
        account.cycle()
        assert account.whom == ["1", "2", "3", "4"]
        assert max(account.apart_ms) <= TURN_MS + 100


class TooMany(UnhurriedLoans):
    """The second is answered so at once, and without a code."""

    error: WriteOutcomeUnknown = WriteLimited("too many requests (HTTP 429)")

    async def send(self, signed: SignedAdjustment) -> str | None:
        if len(self.world.left_ms) == 1:
            self.world.left_ms.append((signed.body.intent, self.world.true_ms))  # type: ignore[attr-defined]
            raise self.error
        return await super().send(signed)


class Busy(TooMany):
    error = WriteOutcomeUnknown("the exchange is busy", code=148019)


@pytest.mark.parametrize("loans", [UnhurriedLoans, TooMany, Busy])
def test_where_one_of_several_is_refused_the_next_waits_for_the_answers_to_all(
    loans: type[UnhurriedLoans],
) -> None:
    with Account(*SIX[:3], kinds=replace(UNHURRIED, loans=loans)) as account:

        def refused_at_once(_intent: Intent) -> None:
            account.world.back_ms = 30 if len(account.whom) == 2 else 3_000

        account.world.on_sent = refused_at_once
        account.world.answers = ["ok", "refused_coin"] if loans is UnhurriedLoans else []
        account.cycle()
        assert account.whom == ["1", "2", "3"]
        assert account.apart_ms[0] <= TURN_MS + 100
        assert sum(account.apart_ms) > 3_000


def test_where_one_is_refused_while_the_next_is_decided_on_that_waits_for_the_answers_to_all() -> None:
    with Account(*SIX[:4], back_ms=2_700) as account:
        account.world.read_ms = 400  # the first answer comes while the loans are read for the third turn
        account.world.answers = ["refused_coin"]
        assert account.cycle().goes_on
        assert account.whom == ["1", "2"]
        assert account.states == [State.REJECTED, State.ACCEPTED]
        account.cycle()
        assert account.whom == ["1", "2", "3", "4"]


def test_what_is_released_leaves_beside_no_add() -> None:
    with Account("0.80", "0.79", "0.36", wallet="0.05") as account:
        account.world.wallet["BTC"] = Decimal(0)
        for _ in range(8):
            account.cycle()
            account.world.advance(3_000)
        account.world.wallet["BTC"] = Decimal(100)

        def both_end(_intent: Intent) -> None:
            account.world.loans[key_of(1)].gone = account.world.loans[key_of(2)].gone = True

        account.world.on_sent = both_end
        account.cycle()
        assert account.whom == ["1"]
        account.cycle()
        assert [intent.direction for intent, _ in account.world.left_ms] == [Direction.ADD, Direction.REDUCE]


def test_what_is_under_way_is_taken_off_the_wallet() -> None:
    with Account(*SIX, wallet="0.5") as account:
        for _ in range(4):
            account.cycle()
            account.world.advance(1_000)
        assert account.world.most > 1
        assert account.world.refused == []
        assert account.world.wallet["BTC"] >= 0


@pytest.mark.parametrize(
    ("read_ms", "back_ms"), [(50, 1_500), (2_700, 2_400)], ids=["quick", "while it reads"]
)
def test_a_key_that_was_refused_stops_all_that_have_not_left(read_ms: int, back_ms: int) -> None:
    with Account(*SIX, back_ms=back_ms) as account:
        account.world.read_ms = read_ms
        account.world.answers = ["refused_key"]
        account.cycle()
        assert account.whom == ["1", "2"][: 1 + (read_ms < back_ms)]
        assert account.states == [State.REJECTED, State.ACCEPTED][: 1 + (read_ms < back_ms)]


def test_each_answer_is_written_down_though_the_journal_failed_at_another() -> None:
    failed: list[str] = []

    def fails_once(name: str) -> None:
        if name == "record" and not failed:
            failed.append(name)
            raise JournalUnavailable("the disk is full")

    with Account(*SIX[:4], back_ms=1_500) as account:
        account.journal.on_write = fails_once
        with pytest.raises(JournalUnavailable):
            account.cycle()
        assert account.whom == ["1", "2"]
        assert account.states == [State.SENT, State.ACCEPTED]
        account.world.back_ms = 30
        for _ in range(20):
            account.cycle()
            account.world.advance(1_000)
        assert sorted(account.whom) == ["1", "2", "3", "4"]
        assert set(account.states) == {State.CONFIRMED}


def test_whoever_is_cut_off_still_hears_all_answers() -> None:
    with Account(*SIX[:2]) as account:

        async def cut_off() -> None:
            cycle = asyncio.ensure_future(account.guard.cycle())
            while len(account.world.unanswered) < 2:  # noqa: ASYNC110 - made-up time
                await asyncio.sleep(0.1)
            cycle.cancel()
            await asyncio.gather(cycle, return_exceptions=True)
            assert account.states == [State.SENT] * 2
            await account.guard.drain()

        account.world.loop.run_until_complete(cut_off())
        assert account.states == [State.ACCEPTED] * 2
