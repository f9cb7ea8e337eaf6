"""Where there are no coins left: a pool's debt is repaid with its own collateral. Over the wire.

Whatever becomes of the write, which has no id: at most one effect an intent, never more repaid than the one
need asked for, and the loan at its target once the fault is over. It is off unless it is switched on. All of
it holds for a flexible debt and for a fixed loan, which is repaid by its contract.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from e2e_world import A_POOL, NEEDY, USER, Product, Tree, World, scenario_of

from ltv_guard.sandbox.records import BY_HAND, DebtOf
from ltv_guard.sandbox.repayments import RepaymentAsked

if TYPE_CHECKING:
    from conftest import OpenWorld

CONTRACT = "4711"
SELLS = {"policy": {"repay_with_collateral": {"enabled": True}}}
ALL = {"policy": {"repay": {"enabled": True}, "repay_with_collateral": {"enabled": True}}}
# 27000 USDT owed, 1 BTC at 38000 USD that counts for 0.9: LTV 0.7895. With the fee that is reckoned with,
# (27000 - x) / (34200 - 0.9 x 1.01) = 0.65 where x = 4770 / (1 - 0.65 x 0.909).
NEEDED = Decimal(4770) / (1 - Decimal("0.65") * Decimal("0.909"))


@pytest.fixture
def product() -> Product:
    """An order's collateral pays for nothing."""
    return A_POOL


def needy(contract: str | None = None, **wallets: str) -> Tree:
    """User 1's pool at LTV 0.7895, and nothing that it could be helped with; all is owed by `contract`."""
    scenario = scenario_of(NEEDY["add"], A_POOL)
    scenario["users"][USER] |= {"funding": wallets, "unified": {}}
    if contract is not None:
        pool = scenario["users"][USER]["pool"]
        owed = pool.pop("flexible")["USDT"]
        pool["contracts"] = [{"loan_id": contract, "coin": "USDT", "principal": owed, "ends_in": "720h"}]
    return scenario


def sold(world: World) -> list[Decimal]:
    return [row.amount for row in world.repayments() if row.selling]


async def is_saved(world: World) -> None:
    await world.until_settled_at_target("add")
    assert abs(sum(sold(world)) - NEEDED) <= 50, world.story()


async def test_a_pool_without_coins_at_hand_is_brought_to_its_target(open_a_world: OpenWorld) -> None:
    async with open_a_world(needy(), config=SELLS) as world:
        async with world.guarded():
            await is_saved(world)
        (intent,) = await world.judged()
        assert (intent.state, intent.coin, intent.collateral_coin) == ("confirmed", "USDT", "BTC")
        (sold,) = world.heard("collateral_sold")
        assert (sold["level"], sold["intent_id"]) == ("info", intent.intent_id)
        assert Decimal(sold["fee"]) == Decimal("0.005")  # the sandbox's usual one
        assert not [event for event in world.events if event["level"] == "critical"]


async def test_so_is_one_that_owes_in_a_fixed_loan_alone(open_a_world: OpenWorld) -> None:
    async with open_a_world(needy(CONTRACT), config=SELLS) as world:
        async with world.guarded():
            await is_saved(world)
        (intent,) = await world.judged()
        assert (intent.state, intent.contract_id, intent.collateral_coin) == ("confirmed", CONTRACT, "BTC")
        assert intent.adjust_id is not None
        assert intent.adjust_id.startswith("repay-fixed-")
        assert f"of the fixed loan {CONTRACT} with BTC" in intent.reason


@pytest.mark.slow
async def test_it_stays_off_unless_it_is_switched_on(open_a_world: OpenWorld) -> None:
    async with open_a_world(needy()) as world:
        async with world.guarded():
            await world.until(lambda: bool(world.heard("protection_short")))
            cycles = len(world.heard("cycle_finished"))
            await world.until(lambda: len(world.heard("cycle_finished")) > cycles + 5)
        assert not world.sent("adjust", "repay", "repay_collateral", "transfer")
        assert not await world.intents()


async def test_coins_that_are_there_go_first(open_a_world: OpenWorld) -> None:
    async with open_a_world(needy(BTC="0.1", USDT="2000"), config=ALL) as world:
        async with world.guarded():
            await world.until_settled_at_target("add")
        done = [(str(item.direction), item.collateral_coin) for item in await world.judged()]
        assert done == [("add", None), ("repay", None), ("repay", "BTC")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """What strikes the first write, and how its intent ends."""

    name: str
    first: str
    faults: tuple[dict[str, Any], ...]
    config: Tree = field(default_factory=dict)


def struck(name: str, first: str, kind: str, **parameters: object) -> Struck:
    return Struck(name=name, first=first, faults=({"kind": kind, **parameters},))


def also(fault: Struck, name: str, *faults: dict[str, Any]) -> Struck:
    return Struck(name=name, first=fault.first, faults=(*faults, *fault.faults), config=fault.config)


LATE = {"settlement": {"processing_margin_s": 3}}
LOST = struck("answer lost", "confirmed", "close_after")
NEVER = struck("request lost", "absent", "close_before")
LATE_ROW = {"kind": "history_lag", "seconds": "0.2"}
FAULTS = [
    LOST,
    NEVER,
    struck("hung after", "confirmed", "hang_after"),
    struck("hung before", "absent", "hang_before"),
    struck("HTTP 502, applied", "confirmed", "http_error", status=502),
    struck("HTTP 502, not applied", "absent", "http_error", status=502, applied=False),
    struck("not JSON, applied", "confirmed", "not_json"),
    struck("10016, applied", "confirmed", "ret_code", code=10016),
    struck("10016, not applied", "absent", "ret_code", code=10016, applied=False),
    struck("10006, not applied", "absent", "ret_code", code=10006, applied=False),
    struck("148047, over the limit", "rejected", "ret_code", code=148047, applied=False),
    struck("148003, precision", "rejected", "ret_code", code=148003, applied=False),
    struck("148012, collateral", "rejected", "ret_code", code=148012, applied=False),
    struck("processing for a second", "confirmed", "status_processing", seconds=1),
    struck("failed", "rejected", "status_failed"),
    struck("applied late", "confirmed", "apply_late", delay_s="1.5"),
    struck("accepted, its row late", "confirmed", "history_lag", seconds="0.5"),
    also(LOST, "answer lost, its row late", LATE_ROW),
    also(LOST, "answer lost, processing", {"kind": "status_processing", "seconds": 1}),
]
TELLING = {"answer lost", "request lost"}


OF_BOTH = pytest.mark.parametrize(
    "contract", [None, pytest.param(CONTRACT, marks=pytest.mark.slow)], ids=["flexible", "fixed"]
)


@pytest.mark.usefixtures("short_pauses")
@OF_BOTH
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(item, id=item.name, marks=() if item.name in TELLING else pytest.mark.slow)
        for item in FAULTS
    ],
)
async def test_never_twice_whatever_becomes_of_the_first_answer(
    open_a_world: OpenWorld, fault: Struck, contract: str | None
) -> None:
    config = SELLS | (LATE if fault.name == "applied late" else {})
    async with open_a_world(needy(contract), config=config) as world:
        for item in fault.faults:
            world.fault(endpoint="repay_collateral", **item)
        async with world.guarded():
            await world.until_settled_at_target("add", within_s=60)
        first, *later = [item.state.value for item in await world.judged()]
        assert first == fault.first, world.story()
        assert set(later) == (set() if first == "confirmed" else {"confirmed"})
        assert abs(sum(sold(world)) - NEEDED) <= 50, world.story()


@pytest.mark.slow
@OF_BOTH
@pytest.mark.parametrize("first", [LOST, NEVER], ids=lambda item: item.name)
@pytest.mark.parametrize("history", ["down for a while", "a page that has no end"])
async def test_a_history_that_fails_or_is_partial_proves_nothing(
    open_a_world: OpenWorld, first: Struck, history: str, contract: str | None
) -> None:
    async with open_a_world(needy(contract), config=SELLS) as world:
        kind = "http_error" if history == "down for a while" else "cursor_loop"
        world.fault(endpoint="repay_collateral", **first.faults[0])
        # The decision itself needs the list once: what comes after the write is struck.
        world.fault(kind, endpoint="fixed_repayments" if contract else "repayments", after=1, times=8)
        async with world.guarded():
            await world.until_settled_at_target("add", within_s=60)
        assert next(iter(await world.judged())).state.value == first.first
        assert abs(sum(sold(world)) - NEEDED) <= 50, world.story()


@pytest.mark.slow
@OF_BOTH
@pytest.mark.parametrize("variant", ["whole", "old_collateral", "new_collateral_old_ltv"])
async def test_what_is_shown_late_makes_no_second_one(
    open_a_world: OpenWorld, variant: str, contract: str | None
) -> None:
    async with open_a_world(needy(contract), config=SELLS) as world:
        async with world.guarded():
            await world.until(lambda: bool(sold(world)))
            world.fault(
                "stale_reads", endpoint="position", variant=variant, seconds="0.4", times=None, until_s="2"
            )
            await is_saved(world)
        await world.judge()


@pytest.mark.slow
@OF_BOTH
async def test_two_equal_ones_by_hand_and_ours_lost_end_ambiguous_and_are_told(
    open_a_world: OpenWorld, contract: str | None
) -> None:
    config = {"policy": SELLS["policy"] | {"reduce": {"enabled": False}}}
    debt = DebtOf(fixed=contract is not None, contract=contract or "")
    async with open_a_world(needy(contract), config=config) as world:
        world.fault("close_before", endpoint="repay_collateral")
        async with world.guarded():
            await world.until(lambda: bool(world.heard("adjustment_unknown")))
            amount = Decimal(world.heard("adjustment_sent")[0]["amount"])
            for _ in range(2):
                pool = world.exchange.ledger.loan(USER, "crypto_loan", "pool")
                wanted = RepaymentAsked(loan=pool, coin="USDT", amount=amount, debt=debt, selling=("BTC",))
                world.exchange.ledger.repay_as(wanted, world.exchange.moment(), BY_HAND)
            await world.until(lambda: bool(world.heard("adjustment_ambiguous")))
            await world.until_quiet()
        twins = [SimpleNamespace(loan_id="pool", direction="repay", amount=amount, adjust_id="")]
        (intents,) = (await world.judge(twins=twins, nothing_open=False)).values()
        assert [intent.state.value for intent in intents] == ["ambiguous"]
        assert len(world.sent("repay_collateral")) == 1
        assert not sold(world)
