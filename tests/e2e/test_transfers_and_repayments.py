"""Where the Funding wallet has no collateral: coins from the Unified account, or a repayment. Over the wire.

Whatever becomes of the write: at most one effect an intent, never more moved or repaid than the one need
asked for, and the loan at its target once the fault is over. Each is off unless it is switched on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e_killed import LANDMARKS
from e2e_world import (
    A_POOL,
    AN_ORDER,
    NEEDY,
    PRODUCTS,
    SLACK,
    TARGETS,
    USER,
    Event,
    Product,
    Tree,
    World,
    crossed,
    is_killed,
    judge_ledger,
    scenario_of,
    until,
)

from ltv_guard.adapters.settings import load
from ltv_guard.adapters.settings.shipped import shipped
from ltv_guard.cli.plan_table import plans_as_json
from ltv_guard.sandbox import Fault, Sandbox, load_scenario
from ltv_guard.sandbox.state import state_of
from ltv_guard.service import run as app

if TYPE_CHECKING:
    from conftest import OpenWorld

TRANSFERS = {"sources": {"unified_transfer": {"enabled": True}}}
REPAYS = {"policy": {"repay": {"enabled": True}}}
BOTH = TRANSFERS | REPAYS
LTV = Decimal(30000) / NEEDY["add"]
NEEDED = LTV / TARGETS["add"] - 1  # BTC, beside the one that is there


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """A way to help the loan: which write it is, what the wallets hold, and what switches it on."""

    name: str
    wallets: Tree
    config: Tree

    def __str__(self) -> str:
        return self.name


TRANSFER = Means(
    name="transfer", wallets={"funding": {}, "unified": {"BTC": "5", "USDT": "50000"}}, config=TRANSFERS
)
REPAY = Means(name="repay", wallets={"funding": {"USDT": "20000"}, "unified": {"BTC": "5"}}, config=REPAYS)
MEANS = [TRANSFER, REPAY]


def needy(product: Product, wallets: Tree) -> Tree:
    """User 1's loan at LTV 0.7895, and these wallets."""
    scenario = scenario_of(NEEDY["add"], product)
    scenario["users"][USER] |= wallets
    return scenario


def moved_what_was_needed(world: World, means: Means) -> bool:
    """Whether what landed by this means is what the one need asked for."""
    if means is TRANSFER:
        moved = sum((row.amount for row in world.transfers()), Decimal(0))
        return world.moved_what_was_needed("add") and abs(moved - NEEDED) <= SLACK
    repaid = sum((row.amount for row in world.repayments()), Decimal(0))
    owed = Decimal(30000) if world.product is AN_ORDER else Decimal(27000)
    return not world.effects() and abs(repaid / owed - (1 - TARGETS["add"] / LTV)) <= SLACK


async def is_saved(world: World, means: Means) -> None:
    await world.until_settled_at_target("add")
    assert moved_what_was_needed(world, means), world.story()


@pytest.mark.parametrize("product", PRODUCTS, ids=str)
@pytest.mark.parametrize("means", MEANS, ids=str)
async def test_a_loan_without_collateral_at_hand_is_brought_to_its_target(
    open_a_world: OpenWorld, product: Product, means: Means
) -> None:
    async with open_a_world(needy(product, means.wallets), config=means.config) as world:
        async with world.guarded():
            await is_saved(world, means)
        states = [intent.state for intent in await world.judged()]
        assert states == ["confirmed"] * (2 if means is TRANSFER else 1)
        assert not [event for event in world.events if event["level"] == "critical"]


@pytest.mark.parametrize("product", PRODUCTS, ids=str)
@pytest.mark.parametrize("means", MEANS, ids=str)
async def test_it_stays_off_unless_it_is_switched_on(
    open_a_world: OpenWorld, product: Product, means: Means
) -> None:
    async with open_a_world(needy(product, means.wallets)) as world:
        async with world.guarded():
            await world.until(lambda: bool(world.heard("protection_short")))
            cycles = len(world.heard("cycle_finished"))
            await world.until(lambda: len(world.heard("cycle_finished")) > cycles + 5)
        assert not world.sent("adjust", "repay", "transfer")
        assert world.heard("protection_short")[0]["level"] == "critical"
        assert not await world.intents()


# What strikes the first write, and how its intent may end.


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    name: str
    first: str
    faults: tuple[dict[str, Any], ...]
    config: dict[str, Any] = field(default_factory=dict)
    telling: bool = False

    def __str__(self) -> str:
        return self.name


def struck(name: str, first: str, kind: str, *, telling: bool = False, **parameters: object) -> Struck:
    return Struck(name=name, first=first, faults=({"kind": kind, **parameters},), telling=telling)


LATE = {"settlement": {"processing_margin_s": 3}}
FAULTS = [
    struck("answer lost", "confirmed", "close_after", telling=True),
    struck("request lost", "absent", "close_before", telling=True),
    struck("hung after", "confirmed", "hang_after"),
    struck("hung before", "absent", "hang_before"),
    struck("HTTP 502, applied", "confirmed", "http_error", status=502),
    struck("HTTP 502, not applied", "absent", "http_error", status=502, applied=False),
    struck("no id, applied", "confirmed", "no_adjust_id", telling=True),
    struck("no id, not applied", "absent", "no_adjust_id", applied=False),
    struck("10016, applied", "confirmed", "ret_code", code=10016),
    struck("10016, not applied", "absent", "ret_code", code=10016, applied=False),
    struck("10006, not applied", "absent", "ret_code", code=10006, applied=False),
    Struck(
        name="applied late",
        first="confirmed",
        faults=({"kind": "apply_late", "delay_s": "1.5"},),
        config=LATE,
    ),
    Struck(
        name="answer lost, its row late",
        first="confirmed",
        faults=({"kind": "history_lag", "seconds": "0.2"}, {"kind": "close_after"}),
        telling=True,
    ),
]
REFUSED = {
    "transfer": [
        struck("131212, balance", "rejected", "ret_code", code=131212, applied=False),
        struck("10005, permission", "rejected", "ret_code", code=10005, applied=False),
    ],
    "repay": [struck("177004, precision", "rejected", "ret_code", code=177004, applied=False)],
}
A_STATUS = [
    struck("processing for a second", "confirmed", "status_processing", seconds=1, telling=True),
    struck("failed", "rejected", "status_failed"),
]


def stays(product: Product, means: Means, fault: Struck) -> bool:
    return fault.telling and (product is AN_ORDER) is (means is TRANSFER)


def tells(_: Product, __: Means, fault: Struck) -> bool:
    """Before each change: every class of outcome (refused, lost, landed, late), of each for each."""
    return fault.telling or fault.first == "rejected" or fault.config == LATE


MATRIX = [
    *crossed(PRODUCTS, MEANS, FAULTS, stays=stays, tells=tells),
    *(
        param
        for means in MEANS
        for param in crossed(PRODUCTS, [means], REFUSED[means.name], stays=lambda *_: False)
    ),
    *crossed(PRODUCTS, [TRANSFER], A_STATUS, stays=stays),
    *crossed([A_POOL], [REPAY], A_STATUS, stays=stays),  # an order's repayment is final at once
]


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize(("product", "means", "fault"), MATRIX)
async def test_never_twice_whatever_becomes_of_the_first_answer(
    open_a_world: OpenWorld, product: Product, means: Means, fault: Struck
) -> None:
    changes = means.config | fault.config
    async with open_a_world(needy(product, means.wallets), config=changes) as world:
        for item in fault.faults:
            world.fault(endpoint=means.name, **item)
        async with world.guarded():
            await is_saved(world, means)
        by_this = [item for item in await world.judged() if item.direction == means.name]
        first, *later = [item.state.value for item in by_this]
        assert first == fault.first, world.story()
        assert later == ([] if first == "confirmed" else ["confirmed"])


@pytest.mark.parametrize(
    ("product", "means"), crossed(PRODUCTS, MEANS, stays=lambda product, _: product is AN_ORDER)
)
async def test_what_is_shown_late_makes_no_second_one(
    open_a_world: OpenWorld, product: Product, means: Means
) -> None:
    """Wallet and loans as they were a while ago, from just after the write."""
    async with open_a_world(needy(product, means.wallets), config=means.config) as world:
        async with world.guarded():
            await world.until(lambda: bool(world.transfers() if means is TRANSFER else world.repayments()))
            endpoint = "wallet" if means is TRANSFER else product.loans
            world.fault(
                "stale_reads",
                endpoint=endpoint,
                variant="old_collateral",
                seconds="0.4",
                times=None,
                until_s="2",
            )
            await is_saved(world, means)
        await world.judge()


@pytest.mark.parametrize("means", MEANS, ids=str)
async def test_it_is_settled_when_it_has_been_switched_off_meanwhile(
    open_a_world: OpenWorld, means: Means
) -> None:
    async with open_a_world(needy(AN_ORDER, means.wallets), config=means.config) as world:
        world.fault("close_after", endpoint=means.name)
        world.fault(
            "http_error", endpoint=f"{means.name}s" if means is TRANSFER else "repayments", status=500
        )
        async with world.guarded():
            await world.until(lambda: bool(world.heard("adjustment_unknown")))
        world.config["sources"] = {"unified_transfer": {"enabled": False}}
        world.configure({"policy": {"repay": {"enabled": False}}})
        async with world.guarded():
            await world.until_quiet()
        written = [item for item in await world.judged() if item.direction == means.name]
        assert [item.state for item in written] == ["confirmed"]


# Order of rescue: add, transfer then add, repay.


async def test_what_lies_in_funding_goes_first_then_what_can_be_moved_then_a_repayment(
    open_a_world: OpenWorld,
) -> None:
    wallets = {"funding": {"BTC": "0.05", "USDT": "20000"}, "unified": {"BTC": "0.08"}}
    async with open_a_world(needy(AN_ORDER, wallets), config=BOTH) as world:
        async with world.guarded():
            await world.until_settled_at_target("add")
        done = [str(item.direction) for item in await world.judged() if item.state == "confirmed"]
        assert done == ["add", "transfer", "add", "repay"]
        assert sum(row.amount for row in world.effects()) <= Decimal("0.13")


async def test_the_caps_of_transfers_and_repayments_hold(open_a_world: OpenWorld) -> None:
    wallets = {"funding": {"USDT": "20000"}, "unified": {"BTC": "5"}}
    caps = {
        "sources": {
            "unified_transfer": {
                "enabled": True,
                "max_transfer": {"BTC": "0.05"},
                "max_transfer_24h": {"BTC": "0.08"},
            }
        },
        "policy": {"repay": {"enabled": True, "max_repay": {"USDT": "500"}}},
        "wallet": {"max_repay_24h": {"USDT": "800"}},
    }
    async with open_a_world(needy(AN_ORDER, wallets), config=caps) as world:
        for _ in range(2):  # a restart does not reset the caps
            async with world.guarded():
                await world.until(lambda: sum(row.amount for row in world.repayments()) > 790)
                await world.until(lambda: bool(world.heard("protection_short")))
                await world.until_quiet()
        moved = [row.amount for row in world.transfers()]
        repaid = [row.amount for row in world.repayments()]
        assert max(moved) <= Decimal("0.05")
        assert Decimal("0.079") < sum(moved) <= Decimal("0.08")
        assert max(repaid) <= 500
        assert Decimal(790) < sum(repaid) <= 800
        await world.judge()


async def test_a_key_that_may_not_transfer_goes_on_adding(open_a_world: OpenWorld) -> None:
    scenario = needy(AN_ORDER, {"funding": {"BTC": "0.05"}, "unified": {"BTC": "5"}})
    scenario["keys"][0]["permissions"] = {"Spot": ["SpotTrade"]}
    async with open_a_world(scenario, config=TRANSFERS) as world:
        async with world.guarded():
            await world.until(lambda: bool(world.heard("adjustment_rejected")))
            world.exchange.deposit(USER, "BTC", Decimal(1))
            await world.until_settled_at_target("add")
        assert world.heard("key_cannot_transfer")
        assert not world.heard("needs_human")
        assert not world.transfers()
        await world.judge()


@pytest.mark.parametrize("means", MEANS, ids=str)
async def test_run_once_goes_on_until_the_loan_is_saved(open_a_world: OpenWorld, means: Means) -> None:
    async with open_a_world(needy(AN_ORDER, means.wallets), config=means.config) as world:
        assert await app.run_once(world.settings()) == 0
        assert world.is_at_target("add")
        assert moved_what_was_needed(world, means)


@pytest.mark.parametrize("means", MEANS, ids=str)
async def test_plan_and_a_dry_run_say_what_would_be_done_and_do_nothing(
    open_a_world: OpenWorld, means: Means
) -> None:
    config = means.config | {"mode": "dry_run"}
    async with open_a_world(needy(AN_ORDER, means.wallets), config=config) as world:
        (row,) = plans_as_json(await app.plan(world.settings()))
        assert (row["action"], row["coin"]) == (means.name, "BTC" if means is TRANSFER else "USDT")
        await app.run_once(world.settings())
        assert world.heard("decision_made")[-1]["action"] == means.name
        assert not world.sent("adjust", "repay", "transfer"), "a dry run must never send anything"
        assert not await world.intents()


# Killed at any step.


def kills(product: Product, means: Means, step: str, when: str) -> bool:
    return product is AN_ORDER and (step, when) == ("send", "after")


def kills_before_each_change(product: Product, means: Means, step: str, when: str) -> bool:
    """Every step once: of a transfer before it, of a repayment after it."""
    return (when == "before") is (means is TRANSFER) and (product is AN_ORDER or step == "send")


@pytest.mark.parametrize(
    ("product", "means", "step", "when"),
    crossed(*(PRODUCTS, MEANS, LANDMARKS, ["before", "after"]), stays=kills, tells=kills_before_each_change),
)
async def test_killed_at_any_step_it_neither_repeats_nor_forgets(
    open_a_world: OpenWorld, product: Product, means: Means, step: str, when: str
) -> None:
    async with open_a_world(needy(product, means.wallets), config=means.config) as world:
        await is_killed(world, when, step)
        async with world.guarded():
            await is_saved(world, means)
        await world.judge()


LOST = ["close_after", "close_before"]


@pytest.mark.slow
@pytest.mark.parametrize("fault", [None, *LOST])
@pytest.mark.parametrize("scenario", ["empty_funding", "no_collateral_left"])
async def test_the_shipped_scenarios_end_well(
    tmp_path: Path, events: list[Event], scenario: str, fault: str | None
) -> None:
    """As shipped; and where every third write of each kind is lost, or its answer.

    An hour takes a second then: to prove that a request was lost takes two, and twice that as shipped.
    """
    shown = load_scenario(shipped(f"scenarios/{scenario}.yaml"))
    if fault:
        market = shown.market.model_copy(update={"speed_up": Decimal(3600)})
        shown = shown.model_copy(update={"market": market})
    async with Sandbox(shown).serve() as exchange:
        for endpoint in ("transfer", "repay", "adjust") if fault else ():
            for number in range(0, 30, 3):
                struck_one = {"kind": fault, "endpoint": endpoint, "after": number, "times": 1}
                exchange.add_fault(Fault.model_validate(struck_one))
        url = f"sqlite:///{tmp_path / 'journal.db'}"
        environ = {"LTV_GUARD_EXCHANGE__BASE_URL": exchange.url, "LTV_GUARD_JOURNAL__URL": url}
        stop = asyncio.Event()
        daemon = asyncio.create_task(app.run_daemon(load(shipped("sandbox.yaml"), environ=environ), stop))
        try:
            await until(lambda: bool(state_of(exchange, wire=False)["ended"]), within_s=90)
        finally:
            stop.set()
            assert await daemon == 0
        lost = [row for row in exchange.ledger.liquidations if row.user == "100001"]
        assert not lost, [event for event in events if event["event"] != "cycle_finished"][-40:]
        assert [row for row in exchange.ledger.liquidations if row.user == "100002"], "the twin lives"
        await judge_ledger(exchange, url, nothing_open=False)
