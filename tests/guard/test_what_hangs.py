"""A read that hangs: whoever is in need waits no longer for it than what it is worth."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from decimal import Decimal

import pytest
import structlog
from contract_world import ModelContracts, a_pool_with_contracts
from exchange_model import POOL, Kinds, ModelAccount, a_guard, a_world, key_of
from hanging_exchange import GIVEN_UP_S, HangingWorld, a_hanging_world, beside, crossing
from slow_exchange import SlowAccountDaemon, in_made_up_time, time_s
from transfers_and_repayments import cycles

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.contracts import AtEnd, ContractList
from ltv_guard.core.model.errors import ExchangeUnavailable, JournalUnavailable
from ltv_guard.core.model.loans import LoanKey, Moment, Product
from ltv_guard.core.ports import Identity

ORDER = key_of(1)
HOUR_S = 3600


@pytest.mark.parametrize("hangs", ["nothing", "unified", "prices"])
@pytest.mark.parametrize("whom", [ORDER, POOL], ids=["order", "pool"])
def test_an_emergency_waits_for_nothing_that_it_can_do_without(whom: LoanKey, hangs: str) -> None:
    """A pool's own numbers imply prices, and coins of the Unified account are not needed yet."""
    world = a_hanging_world("0.60", pool="0.60", unified="5")
    assert in_made_up_time(crossing(world, whom, "0.86", [hangs], transfers=True)) < 2


@pytest.mark.parametrize("ltv", ["0.78", "0.86"], ids=["breach", "emergency"])
@pytest.mark.parametrize(("whom", "other"), [(ORDER, Product.CRYPTO_LOAN), (POOL, Product.LEGACY)])
def test_one_product_waits_for_no_other_that_does_not_answer(whom: LoanKey, other: Product, ltv: str) -> None:
    world = a_hanging_world("0.60", "0.60", pool="0.60")
    assert in_made_up_time(crossing(world, whom, ltv, [f"loans {other}"])) < 2


@pytest.mark.parametrize("takes_s", [0.05, 1.3, 2.0, 6.0])
@pytest.mark.parametrize("whom", [ORDER, POOL], ids=["one product", "two products"])
def test_a_list_that_hangs_is_asked_for_once_more_when_prices_cross_and_given_its_time(
    whom: LoanKey, takes_s: float
) -> None:
    """Prices tell of the crossing each second until the loan is seen."""
    world = a_hanging_world("0.60", pool="0.60" if whom == POOL else None)
    what = f"loans {whom.product}"

    async def cross(daemon: SlowAccountDaemon) -> None:
        await asyncio.sleep(40)
        world.hangs.add(what)
        await world.is_asked(what)
        world.hangs.clear()
        world.takes_s[what] = takes_s
        world.now()
        world.loans[whom].debt *= Decimal("0.80") / world.ltv(whom)
        world.note()
        world.watched, began_s = whom, time_s()
        while world.added_s is None and time_s() < began_s + 20:
            daemon.wake(whom)
            await asyncio.sleep(1)
        assert world.added_s is not None
        assert world.added_s - began_s < takes_s + 0.15

    in_made_up_time(beside(world, cross))


@pytest.mark.parametrize("pool_s", [4.3, 8.0])
def test_an_order_at_its_trigger_waits_a_second_for_a_pool_that_always_takes_long(pool_s: float) -> None:
    world = a_hanging_world("0.60", pool="0.60")
    world.takes_s[f"loans {Product.CRYPTO_LOAN}"] = pool_s
    assert in_made_up_time(crossing(world, ORDER, "0.86", [], after_s=90)) < 1.5


@pytest.mark.parametrize("lacks", ["nothing", "the pool"])
@pytest.mark.parametrize("pool", ["its add is open", "it can't be helped"])
def test_nothing_is_released_beside_a_product_that_hangs(pool: str, lacks: str) -> None:
    world = a_hanging_world("0.60", pool="0.60")
    needs_coins = pool == "it can't be helped"
    if needs_coins:
        world.wallet["BTC"] *= 0
    world.row_lag_ms = 25_000

    async def low(daemon: SlowAccountDaemon) -> None:
        await asyncio.sleep(40)
        world.now()
        world.loans[POOL].debt *= Decimal("0.80") / world.ltv(POOL)
        world.loans[ORDER].debt *= Decimal("0.35") / world.ltv(ORDER)
        world.note()
        daemon.wake(POOL)
        await asyncio.sleep(1)
        if lacks == "the pool":
            world.hangs.add(f"loans {Product.CRYPTO_LOAN}")
        await asyncio.sleep(90)
        released = [item for item in world.sent if item.key == ORDER]
        assert bool(released) == (lacks == "nothing" and not needs_coins)

    in_made_up_time(beside(world, low))


def test_that_a_list_is_refused_when_it_is_asked_for_once_more_is_no_failure_of_the_one_that_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = a_hanging_world("0.60")
    lists, as_ever = f"loans {Product.LEGACY}", HangingWorld.answer

    async def answer(self: HangingWorld, what: str) -> Moment:
        if what == lists and world.watched and world.asked[what] >= 1 and world.added_s is None:
            self.asked[what] += 1
            raise ExchangeUnavailable("too many visits")
        return await as_ever(self, what)

    async def cross(daemon: SlowAccountDaemon) -> None:
        await asyncio.sleep(40)
        world.now()
        world.loans[ORDER].debt *= Decimal("0.80") / world.ltv(ORDER)
        world.note()
        world.asked.clear()
        world.watched, world.takes_s = ORDER, {lists: 6.0}
        monkeypatch.setattr(HangingWorld, "answer", answer)
        for _ in range(15):
            daemon.wake(ORDER)
            await asyncio.sleep(0.4)
        await asyncio.sleep(5)
        assert world.added_s is not None

    with structlog.testing.capture_logs() as logs:
        in_made_up_time(beside(world, cross))
    assert not [item for item in logs if item["event"] in {"read_failed", "guard_blind"}]


def test_but_beside_one_of_which_no_loan_is_known() -> None:
    """A key that may not read it, say: that is told, and holds nothing up for ever."""
    world = a_hanging_world("0.35", pool="0.60")
    world.hangs.add(f"loans {Product.CRYPTO_LOAN}")

    async def low(_: SlowAccountDaemon) -> None:
        await asyncio.sleep(120)
        assert [item.key for item in world.sent] == [ORDER]

    in_made_up_time(beside(world, low))


@pytest.mark.parametrize(
    ("answers_s", "pool_s", "send_s", "pool_within_s", "all_within_s"),
    [(1.3, 1.6, 1.3, 3, 25), (3.4, 3.7, 3.4, 6, 85), (3.9, 4.2, 10, 15, 125)],
)
def test_where_all_is_slow_crossings_each_second_leave_no_list_out_that_is_hardly_slower(
    answers_s: float, pool_s: float, send_s: float, pool_within_s: int, all_within_s: int
) -> None:
    world = a_hanging_world(*["0.60"] * 8, pool="0.60")
    helped_s: dict[LoanKey, float] = {}

    async def breach(daemon: SlowAccountDaemon) -> None:
        await asyncio.sleep(40)
        world.quick_s = answers_s
        world.takes_s = {f"loans {Product.CRYPTO_LOAN}": pool_s, "send": send_s}
        await asyncio.sleep(100)
        world.now()
        for key, loan in world.loans.items():
            loan.debt *= Decimal("0.80") / world.ltv(key)
        world.note()
        began_s = time_s()
        while len(helped_s) < len(world.loans) and time_s() < began_s + 200:
            for key in world.loans:
                if world.ltv(key) >= Decimal("0.75"):
                    daemon.wake(key)
                else:
                    helped_s.setdefault(key, time_s() - began_s)
            await asyncio.sleep(1)

    in_made_up_time(beside(world, breach))
    assert len(helped_s) == 9
    assert helped_s[POOL] <= pool_within_s
    assert max(helped_s.values()) <= all_within_s


def test_an_order_in_breach_waits_for_no_prices_of_a_pool_that_is_in_none() -> None:
    world = a_hanging_world("0.60", pool="0.60")
    assert in_made_up_time(crossing(world, ORDER, "0.78", ["prices"])) < 1


@pytest.mark.parametrize("whom", [ORDER, POOL], ids=["order", "pool"])
def test_nor_does_a_breach_wait_without_end_for_coins_that_it_may_not_need(whom: LoanKey) -> None:
    world = a_hanging_world("0.60", pool="0.60", unified="5")
    with structlog.testing.capture_logs() as logs:
        assert in_made_up_time(crossing(world, whom, "0.78", ["unified"], transfers=True)) < 3
    said = [item["why"] for item in logs if item["event"] == "read_failed" and item["what"] == "unified"]
    assert said == ["no answer within 1 s"]


def test_what_lies_in_the_unified_account_is_waited_for_three_times_as_long_as_the_wallet() -> None:
    world = a_hanging_world("0.60", unified="5")
    world.wallet["BTC"] *= 0
    world.takes_s = {"wallet": 1.5, "unified": 4.0}
    assert in_made_up_time(crossing(world, ORDER, "0.78", [], transfers=True)) < 20


@pytest.mark.parametrize("hangs", ["nothing", "loan", "history"])
@pytest.mark.parametrize("ltv", ["0.78", "0.86"])
@pytest.mark.parametrize("per_page", [100, 2])
def test_a_loan_whose_read_by_its_id_hangs_is_helped_by_the_list(per_page: int, ltv: str, hangs: str) -> None:
    """What it waits for ends before the list is too old to be acted on."""
    world = a_hanging_world("0.60", "0.60", "0.60", "0.60", per_page=per_page)
    world.quick_s = 0.6
    assert in_made_up_time(crossing(world, ORDER, ltv, [hangs])) < 10


@pytest.mark.parametrize("per_page", [100, 2])
@pytest.mark.parametrize("ltv", ["0.78", "0.92"])
def test_a_loan_that_is_listed_and_not_found_by_its_id_is_helped(per_page: int, ltv: str) -> None:
    """Once it may be gone; what a later list shows again is not."""
    world = a_hanging_world("0.60", "0.60", "0.60", "0.60", per_page=per_page)
    world.is_empty, world.quick_s = True, 0.6
    with structlog.testing.capture_logs() as logs:
        assert in_made_up_time(crossing(world, ORDER, ltv, [])) < 20
    told = [item["why"] for item in logs if item.get("what") == "loan 1"]
    assert told == (["1 is listed, and not found by its id: the list counts"] if per_page == 2 else [])


@pytest.mark.parametrize("ltv", ["0.86", "0.90", "0.94"])
async def test_in_an_emergency_the_last_wallet_counts_though_all_was_calm_until_then(ltv: str) -> None:
    world = a_world("0.60")
    guard = a_guard(world, MemoryJournal())
    await cycles(guard, world, 100, ms=15_000)
    world.wallet_down = True
    world.price *= world.ltv(ORDER) / Decimal(ltv)
    world.note()
    await cycles(guard, world, 3, ms=1_000)
    assert world.applied


async def test_in_calm_the_wallet_is_read_each_few_minutes_and_no_oftener() -> None:
    asked_ms: list[int] = []

    class Counting(ModelAccount):
        async def wallet(self, coins: Collection[str]) -> Mapping[str, Decimal]:
            asked_ms.append(self.world.true_ms)
            return await super().wallet(coins)

    world = a_world("0.60")
    guard = a_guard(world, MemoryJournal(), kinds=Kinds(account=Counting))
    await cycles(guard, world, 82, ms=15_000)
    assert [ms - asked_ms[0] for ms in asked_ms] == [0, 300_000, 600_000, 900_000, 1_200_000]


async def test_a_guard_that_ends_waits_for_no_wallet_that_is_read_beside() -> None:
    ended: list[str] = []

    class Hanging(ModelAccount):
        async def wallet(self, coins: Collection[str]) -> Mapping[str, Decimal]:
            try:
                await asyncio.Event().wait()
            finally:
                ended.append("cancelled")
            return {}

    world = a_world("0.60")
    guard = a_guard(world, MemoryJournal(), kinds=Kinds(account=Hanging))
    await cycles(guard, world, 3, ms=15_000)
    async with asyncio.timeout(5):
        await guard.drain()
    assert ended == ["cancelled"]


def test_why_a_cycle_is_partial_is_said_by_its_last_failure_or_by_how_long_it_takes() -> None:
    async def go() -> list[str]:
        world = a_hanging_world("0.60", pool="0.60")
        guard = SlowAccountDaemon(world).guard
        await guard.cycle()
        world.hangs = {f"loans {Product.CRYPTO_LOAN}"}
        why = [(await guard.cycle()).why_blind for _ in range(6)]
        await guard.drain()
        return why

    why = in_made_up_time(go())
    assert why[0] == "crypto_loan: no answer within 1 s; all other loans are guarded as usual"
    assert set(why[-2:]) == {"crypto_loan: loans crypto_loan: no answer"}


def test_a_list_that_comes_late_ends_the_turns_of_the_other_product() -> None:
    """A pool may be worse off than all orders that wait for theirs."""
    world = a_hanging_world(*["0.60"] * 12, pool="0.60")
    world.wallet["BTC"] *= 100

    async def storm(daemon: SlowAccountDaemon) -> None:
        await asyncio.sleep(40)
        world.loans[ORDER].debt *= Decimal("0.80") / world.ltv(ORDER)  # that adds add is proven by one
        world.note()
        await asyncio.sleep(100)
        world.takes_s[f"loans {Product.CRYPTO_LOAN}"], world.turn_s = 1.2, 1.0
        for key in world.loans:
            world.loans[key].debt *= Decimal("0.80") / world.ltv(key)
        world.note()
        world.added.clear()
        world.watched, began_s = POOL, time_s()
        daemon.wake(key_of(2))
        async with asyncio.timeout(20):
            await world.added.wait()
        assert time_s() - began_s < 5

    in_made_up_time(beside(world, storm))


def test_an_error_of_ours_in_reading_lists_costs_that_read_alone() -> None:
    world = a_hanging_world("0.60", pool="0.60")

    def fails(_: object) -> None:
        raise ArithmeticError("of ours")

    async def go(daemon: SlowAccountDaemon) -> None:
        await asyncio.sleep(40)
        loans = daemon.guard._parts.reads.loans
        loans.urgent.following.take, takes = fails, loans.urgent.following.take  # type: ignore[method-assign]
        await asyncio.sleep(30)
        loans.urgent.following.take = takes  # type: ignore[method-assign]
        world.loans[ORDER].debt *= Decimal("0.78") / world.ltv(ORDER)
        world.note()
        await asyncio.sleep(30)

    with structlog.testing.capture_logs() as logs:
        in_made_up_time(beside(world, go))
    assert [item["what"] for item in logs if item["event"] == "defect"] == ["reading loans"]
    assert world.added_s is not None


def test_a_product_that_hangs_is_told_of_once_and_asked_for_once_at_a_time() -> None:
    world = a_hanging_world("0.60", pool="0.60")

    async def hang(_: SlowAccountDaemon) -> None:
        await asyncio.sleep(40)
        world.hangs.add(f"loans {Product.CRYPTO_LOAN}")
        world.asked.clear()
        await asyncio.sleep(60)
        assert world.asked[f"loans {Product.CRYPTO_LOAN}"] <= 60 / GIVEN_UP_S + 1
        assert world.asked[f"loans {Product.LEGACY}"] <= 30
        world.hangs.clear()
        await asyncio.sleep(40)

    with structlog.testing.capture_logs() as logs:
        in_made_up_time(beside(world, hang))
    told = [item for item in logs if item.get("what") == Product.CRYPTO_LOAN]
    assert [(item["event"], item.get("why")) for item in told] == [
        ("read_failed", "no answer within 3.25 s; all other loans are guarded as usual"),
        ("read_failed", "loans crypto_loan: no answer"),
        ("guard_blind", "loans crypto_loan: no answer"),
        ("guard_recovered", None),
    ]


@pytest.mark.parametrize("page_s", [0.05, 1.5, 3.5])
def test_what_a_page_of_a_late_list_shows_is_acted_on_at_once(page_s: float) -> None:
    """With the wallet and the history that were read beside it: the cycle under way had no use for them."""
    world = a_hanging_world("0.60", "0.60", "0.60", "0.60", pool="0.60", per_page=2)
    world.takes_s = {"history": 0.5, "wallet": 0.5}

    async def fall(daemon: SlowAccountDaemon) -> None:
        await asyncio.sleep(40)
        world.takes_s[f"loans {Product.LEGACY}"] = page_s
        world.loans[ORDER].debt *= Decimal("0.78") / world.ltv(ORDER)
        world.note()
        world.watched = ORDER
        async with asyncio.timeout(60):
            await world.added.wait()

    in_made_up_time(beside(world, fall))
    assert world.added_s is not None
    assert world.shown_s is not None
    assert world.added_s - world.shown_s <= 0.7


@pytest.mark.parametrize("hangs", ["nothing", "key"])
def test_one_that_crosses_while_the_key_is_looked_at_does_not_wait_for_that(hangs: str) -> None:
    world = a_hanging_world("0.60", "0.60")
    took_s = crossing(world, ORDER, "0.86", [hangs], after_s=HOUR_S - 10, while_asked="key")
    assert in_made_up_time(took_s) < 0.5


@pytest.mark.parametrize("takes_s", [0.05, 3.0])
def test_what_is_found_of_the_key_beside_the_cycles_ends_one_all_the_same(takes_s: float) -> None:
    """Another worker has the account, say."""
    claims_s: list[float] = []

    async def claim(_: Identity) -> None:
        claims_s.append(time_s())
        if len(claims_s) > 1:
            raise JournalUnavailable("guarded by another")

    async def go() -> float:
        world = a_hanging_world("0.60")
        world.takes_s = {"key": takes_s}
        with pytest.raises(JournalUnavailable, match="guarded by another"):
            async with asyncio.timeout(HOUR_S + 60):
                await SlowAccountDaemon(world, claim=claim).run()
        return time_s()

    ended_s = in_made_up_time(go())
    assert len(claims_s) == 2
    assert ended_s - claims_s[1] < 16


def test_a_guard_that_ends_waits_for_no_key_that_is_looked_at_beside() -> None:
    async def go() -> float:
        world = a_hanging_world("0.60")
        daemon = SlowAccountDaemon(world)
        running = asyncio.create_task(daemon.run())
        await asyncio.sleep(HOUR_S - 10)
        world.hangs = {"key"}
        await world.is_asked("key")
        began_s = time_s()
        await daemon.end(running)
        assert len(asyncio.all_tasks()) == 1
        return time_s() - began_s

    assert in_made_up_time(go()) < 0.1


def test_a_cycle_that_waits_for_the_key_ends_as_it_would_have_though_the_guard_is_drained() -> None:
    async def go() -> bool:
        world = a_hanging_world("0.60")
        daemon = SlowAccountDaemon(world)
        running = asyncio.create_task(daemon.run())
        await asyncio.sleep(HOUR_S - 10)
        world.takes_s = {"key": 0.15}
        await world.is_asked("key")
        await daemon.guard.drain()
        await asyncio.sleep(1)
        is_cut_off = running.done()
        await daemon.end(running)
        return is_cut_off

    assert not in_made_up_time(go())


@pytest.mark.parametrize("hangs", [f"loans {Product.CRYPTO_LOAN}", "key"])
def test_a_guard_that_is_drained_in_the_middle_of_a_cycle_leaves_nothing_running(hangs: str) -> None:
    async def go() -> set[asyncio.Task[None]]:
        world = a_hanging_world("0.60", pool="0.60")
        guard = SlowAccountDaemon(world).guard
        await guard.cycle()
        world.advance(HOUR_S * 1000)
        world.hangs = {hangs}
        cycle = asyncio.create_task(guard.cycle())
        await asyncio.sleep(0.01)
        await guard.drain()
        await cycle
        await asyncio.sleep(0.01)
        return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]

    assert in_made_up_time(go()) == set()


def test_one_that_crosses_while_fixed_loans_are_looked_at_does_not_wait_for_that() -> None:
    class Hanging(ModelContracts):
        async def contracts(self, coin: str) -> ContractList:
            await asyncio.sleep(GIVEN_UP_S)
            return await super().contracts(coin)

    async def go() -> float:
        plain = a_world(pool="0.60")
        world = a_pool_with_contracts(
            plain, {"USDT": Decimal("0.5")}, ends_in_ms=HOUR_S * 1000, at_end=AtEnd.REPAID
        )
        guard = a_guard(world, MemoryJournal(), contracts=Hanging(world))
        cycle = asyncio.create_task(guard.cycle())
        await asyncio.sleep(0.5)
        assert not cycle.done()
        guard.urge([POOL])
        began_s = time_s()
        await cycle
        await guard.drain()
        return time_s() - began_s

    assert in_made_up_time(go()) < 0.1


@pytest.mark.parametrize("ltvs", [("0.60", "0.35"), ("0.60", *["0.35"] * 9)], ids=["a release", "many"])
@pytest.mark.parametrize("hangs", ["nothing", "maximum"])
def test_one_that_crosses_while_the_most_that_may_be_released_is_asked_for(
    hangs: str, ltvs: tuple[str, ...]
) -> None:
    """Nothing of the release has left."""
    world = a_hanging_world(*ltvs)
    took_s = crossing(world, ORDER, "0.86", [hangs], after_s=0, while_asked="maximum")
    assert in_made_up_time(took_s) < 1


def test_what_may_be_released_is_asked_for_to_the_end_where_prices_cross_again_and_again() -> None:
    """Where it comes soon."""

    async def go() -> bool:
        world = a_hanging_world("0.60", "0.35")
        daemon = SlowAccountDaemon(world)
        running = asyncio.create_task(daemon.run())
        for _ in range(500):
            await asyncio.sleep(0.04)
            daemon.wake(ORDER)
        await daemon.end(running)
        return bool(world.sent)

    assert in_made_up_time(go())
