"""A pool's fixed loan that nothing repays at its end: repaid in full before, from the wallet. Over the wire.

Whatever becomes of the write: at most one effect, never another loan's coins in an emergency, and the loan
repaid once the fault is over. It is off unless it is switched on.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from e2e_killed import LANDMARKS
from e2e_world import A_POOL, KEY, SECRET, USER, Product, Tree, World, crossed, is_killed, ran
from pools_with_contracts import contract as a_contract
from pools_with_contracts import cycles, owing

from ltv_guard.cli.plan_table import plans_as_json
from ltv_guard.core.model.timing import Backoff
from ltv_guard.sandbox.records import BY_HAND, DebtOf
from ltv_guard.sandbox.repayments import RepaymentAsked
from ltv_guard.service import run as app

if TYPE_CHECKING:
    from conftest import OpenWorld, Timings

D = Decimal
SCENARIO = Path(__file__).parents[2] / "config" / "scenarios" / "fixed_term.yaml"
REPAYS: Tree = {
    "policy": {
        "collateral_preference": ["USDT"],
        "reduce": {"enabled": False},
        "repay_fixed": {"enabled": True},
    }
}


@pytest.fixture
def product() -> Product:
    return A_POOL


@pytest.fixture(autouse=True)
def read_often(timings: Timings) -> None:
    """Between two tries a minute passes, which would only take time."""
    timings.change(terms_retried_ms=200)


def contract(loan_id: str = "7", **changes: object) -> Tree:
    """One that nothing repays at its end."""
    return a_contract(loan_id, **({"ends_in": "30m", "repay_type": "0"} | changes))


def repaid(world: World) -> list[Decimal]:
    return [row.amount for row in world.repayments() if row.debt.fixed]


async def test_it_is_repaid_in_full_before_its_end(open_a_world: OpenWorld) -> None:
    async with open_a_world(owing(contract(interest="2.5")), config=REPAYS) as world:
        async with world.guarded():
            await world.until(lambda: bool(world.heard("adjustment_confirmed")))
            await world.until_quiet()
        (intent,) = await world.judged()
        assert (intent.state, intent.contract_id, intent.amount) == ("confirmed", "7", D("1002.5"))
        assert repaid(world) == [D("1002.5")]
        assert not [event for event in world.events if event["level"] == "critical"]


@pytest.mark.slow
async def test_it_stays_off_unless_it_is_switched_on(open_a_world: OpenWorld) -> None:
    config = {"policy": REPAYS["policy"] | {"repay_fixed": {"enabled": False}}}
    async with open_a_world(owing(contract()), config=config) as world, world.guarded():
        await world.until(lambda: bool(world.heard("maturity_near")))
        await cycles(world, 4)
        assert not world.sent("repay_fixed")
        assert not world.heard("fixed_loan_not_repaid")


@pytest.mark.slow
async def test_only_what_goes_overdue_is_repaid_and_only_in_time(open_a_world: OpenWorld) -> None:
    """Not one that the exchange repays, or turns flexible, nor one that ends later; the soonest first."""
    contracts = [
        contract("1", repay_type="1"),
        contract("2", repay_type="2"),
        contract("3", ends_in="2h"),
        contract("4", principal="400", ends_in="40m"),
        contract("5", principal="500", ends_in="20m"),
    ]
    async with open_a_world(owing(*contracts), config=REPAYS) as world:
        async with world.guarded():
            await world.until(lambda: len(world.heard("adjustment_confirmed")) == 2)
            await cycles(world, 4)
        assert repaid(world) == [D(500), D(400)]
        await world.judge()


@pytest.mark.slow
async def test_one_that_went_overdue_is_repaid_once_its_coins_come(
    open_a_world: OpenWorld,
) -> None:
    """Also where the exchange was to repay it: it tries once, and takes all or nothing."""
    loan = contract(repay_type="1", ends_in="1s")
    async with open_a_world(owing(loan, funding="400"), config=REPAYS) as world:
        async with world.guarded():
            await world.until(lambda: bool(world.heard("fixed_loan_not_repaid")))
            (told,) = world.heard("fixed_loan_not_repaid")
            assert (told["level"], told["contract"], told["owed"]) == ("critical", "7", {"USDT": "1000"})
            assert told["why"] == "the Funding wallet leaves 400 USDT"
            await cycles(world, 3)
            assert "protection_short" not in world.heard("cycle_finished")[-1]["critical"]  # told once
            world.exchange.ledger.deposit(USER, "USDT", D(600), world.exchange.moment())
            await world.until(lambda: bool(repaid(world)))
            await world.until_quiet()
            await cycles(world, 3)
            assert world.heard("cycle_finished")[-1]["critical"] == []
        assert repaid(world) == [D(1000)]
        await world.judge()


# What strikes the first write, and how its intent ends.


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """`telling`: shown by default; the others before each change, and those that only vary one at night."""

    name: str
    first: str
    faults: tuple[dict[str, Any], ...]
    config: Tree = field(default_factory=dict)
    telling: bool = False
    varies: bool = False

    def __str__(self) -> str:
        return self.name


def struck(name: str, first: str, kind: str, **parameters: object) -> Struck:
    return Struck(name=name, first=first, faults=({"kind": kind, **parameters},))


def also(fault: Struck, name: str, *faults: dict[str, Any]) -> Struck:
    return replace(fault, name=name, faults=(*faults, *fault.faults), telling=False)


SAME_BODY_MS = 2000
NOT_APPLIED: dict[str, Any] = {"applied": False}
LOST = replace(struck("answer lost", "confirmed", "close_after"), telling=True)
NEVER = struck("request lost", "absent", "close_before")
LATE_ROW, PROCESSING = {"kind": "history_lag", "seconds": "0.3"}, {"kind": "status_processing", "seconds": 1}
MARGIN: Tree = {"settlement": {"processing_margin_s": 3}}
FAULTS = [
    LOST,
    NEVER,
    struck("hung after", "confirmed", "hang_after"),
    struck("hung before", "absent", "hang_before"),
    struck("no id, applied", "confirmed", "no_adjust_id"),
    struck("no id, not applied", "absent", "no_adjust_id", **NOT_APPLIED),
    struck("HTTP 502, applied", "confirmed", "http_error", status=502),
    struck("HTTP 502, not applied", "absent", "http_error", status=502, **NOT_APPLIED),
    struck("403, a ban, not applied", "absent", "http_error", status=403, seconds=1, **NOT_APPLIED),
    struck("not JSON, applied", "confirmed", "not_json"),
    struck("10006, not applied", "absent", "ret_code", code=10006, **NOT_APPLIED),
    struck("148012, balance", "rejected", "ret_code", code=148012, **NOT_APPLIED),
    struck("148038, nothing to repay", "rejected", "ret_code", code=148038, **NOT_APPLIED),
    struck("10005, permission", "rejected", "ret_code", code=10005, **NOT_APPLIED),
    struck("processing for a second", "confirmed", "status_processing", seconds=1),
    struck("failed", "rejected", "status_failed"),
    struck("accepted, its row late", "confirmed", "history_lag", seconds="0.5"),
    replace(struck("applied late", "confirmed", "apply_late", delay_s="1.5"), config=MARGIN),
    struck("too late for its window", "absent", "apply_late", delay_s="1.5", check="application"),
    also(LOST, "answer lost, its row late", LATE_ROW),
    also(LOST, "answer lost, processing", PROCESSING),
    *(
        replace(item, varies=True)
        for item in (
            struck("reset before it was read", "absent", "close_before", reset=True),
            struck("empty body, applied", "confirmed", "empty_body"),
            struck("10016, applied", "confirmed", "ret_code", code=10016),
            struck("10016, not applied", "absent", "ret_code", code=10016, **NOT_APPLIED),
            struck("148019, busy, applied", "confirmed", "ret_code", code=148019),
            struck("148019, busy, not applied", "absent", "ret_code", code=148019, **NOT_APPLIED),
            struck("199999, which nobody knows", "absent", "ret_code", code=199999, **NOT_APPLIED),
            struck("10002, the clock", "rejected", "ret_code", code=10002, **NOT_APPLIED),
            struck("148031, being liquidated", "rejected", "ret_code", code=148031, **NOT_APPLIED),
            also(struck("", "rejected", "status_failed"), "processing, then failed", PROCESSING),
            also(LOST, "failed, its answer lost", {"kind": "status_failed"}),
        )
    ),
]
FAULTS[-1] = replace(FAULTS[-1], first="rejected")


@pytest.fixture
def hurried(timings: Timings) -> None:
    """What was refused is not asked for again for a minute, which would only take time."""
    backoff = Backoff(first_ms=500, lasting_ms=1500, same_body_ms=SAME_BODY_MS)
    timings.change(ban_ms=1500, key_probe_ms=500, backoff=backoff)


async def is_repaid(world: World, first: str) -> None:
    """Once, by the first try or by the one after it; and what the journal says is true."""
    await world.until(lambda: bool(repaid(world)), within_s=60)
    await world.until_quiet()
    await cycles(world, 2)
    oldest, *later = await world.judged()
    assert oldest.state.value == first, world.story()
    assert [item.state.value for item in later] == ([] if first == "confirmed" else ["confirmed"])
    assert repaid(world) == [D(1000)], world.story()


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    "fault",
    crossed(FAULTS, stays=lambda fault: fault.telling, tells=lambda fault: not fault.varies),
)
async def test_never_twice_whatever_becomes_of_the_first_answer(
    open_a_world: OpenWorld, fault: Struck
) -> None:
    async with open_a_world(owing(contract()), config=REPAYS | fault.config) as world:
        for item in fault.faults:
            world.fault(endpoint="repay_fixed", **item)
        async with world.guarded():
            await is_repaid(world, fault.first)
        sent_ms = [int(item["timestamp"]) for item in world.sent("repay_fixed")]
        if fault.first == "rejected":  # it was refused, and has but one body
            assert sent_ms[1] - sent_ms[0] >= SAME_BODY_MS


@pytest.mark.slow
@pytest.mark.parametrize("first", [LOST, NEVER], ids=str)
@pytest.mark.parametrize("history", ["http_error", "cursor_loop"])
async def test_a_history_that_fails_or_is_partial_proves_nothing(
    open_a_world: OpenWorld, first: Struck, history: str
) -> None:
    async with open_a_world(owing(contract()), config=REPAYS) as world:
        world.fault(endpoint="repay_fixed", **first.faults[0])
        # The decision itself needs the list once: what comes after the write is struck.
        world.fault(history, endpoint="fixed_repayments", after=1, times=8)
        async with world.guarded():
            await is_repaid(world, first.first)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["whole", "old_collateral", "new_collateral_old_ltv"])
@pytest.mark.parametrize("endpoints", [["position"], ["contracts"], ["position", "contracts"]], ids="-".join)
async def test_what_is_shown_late_makes_no_second_one(
    open_a_world: OpenWorld, endpoints: list[str], variant: str
) -> None:
    """The pool, the list of its fixed loans, or both, as they were a while ago, from just after the write."""
    async with open_a_world(owing(contract()), config=REPAYS) as world:
        async with world.guarded():
            await world.until(lambda: bool(repaid(world)))
            until_s = str(world.exchange.moment().real_s + 2)
            for endpoint in endpoints:
                world.fault(
                    "stale_reads",
                    endpoint=endpoint,
                    variant=variant,
                    seconds="1.5",
                    times=None,
                    until_s=until_s,
                )
            await is_repaid(world, "confirmed")
            await world.until(lambda: world.exchange.moment().real_s > D(until_s))
            await cycles(world, 3)
        assert len(world.sent("repay_fixed")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("fault", [None, LOST, NEVER], ids=str)
async def test_a_pool_that_owes_nothing_else_is_gone_then(
    open_a_world: OpenWorld, fault: Struck | None
) -> None:
    scenario = owing(contract())
    scenario["users"][USER]["pool"]["flexible"] = {}
    async with open_a_world(scenario, config=REPAYS) as world:
        for item in fault.faults if fault else ():
            world.fault(endpoint="repay_fixed", **item)
        async with world.guarded():
            await is_repaid(world, fault.first if fault else "confirmed")
            await world.until(lambda: bool(world.heard("loan_gone")))
        assert not [event for event in world.events if event["level"] == "critical"]


@pytest.mark.slow
async def test_one_that_is_odd_costs_only_itself(open_a_world: OpenWorld) -> None:
    async with open_a_world(owing(contract("1"), contract("2")), config=REPAYS) as world:
        odd = {"field": "residualPrincipal", "value": "?", "loan_id": "11"}  # its orderId
        world.fault("nonsense", endpoint="contracts", times=None, **odd)
        async with world.guarded():
            await world.until(lambda: bool(repaid(world)) and bool(world.heard("answer_odd")))
            await world.until_quiet()
            await cycles(world, 3)
        (intent,) = await world.judged()
        assert intent.contract_id == "2"
        assert "nor is it repaid" in world.heard("answer_odd")[0]["follows"]


@pytest.mark.slow
@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("kind", ["http_error", "hang_before"])
async def test_a_list_that_fails_at_the_turn_to_write_is_told_and_nothing_leaves(
    open_a_world: OpenWorld, kind: str
) -> None:
    async with open_a_world(owing(contract()), config=REPAYS) as world:
        world.fault(kind, endpoint="contracts", after=2, times=None)
        async with world.guarded():
            await world.until(lambda: bool(world.heard("fixed_loan_not_repaid")))
            assert not world.sent("repay_fixed")
            why = world.heard("fixed_loan_not_repaid")[0]["why"]
            assert why.startswith("the list of fixed loans in USDT could not be read")
            world.exchange.clear_faults()
            await world.until(lambda: bool(repaid(world)))
            await world.until_quiet()
            await cycles(world, 2)
            assert world.heard("cycle_finished")[-1]["critical"] == []
        await world.judge()


@pytest.mark.slow
@pytest.mark.parametrize("repays", [True, False])
async def test_the_scenario_fixed_term_where_nothing_repays_the_loan_at_its_end(
    open_a_world: OpenWorld, *, repays: bool
) -> None:
    """Shown: the guard repays it in its last seconds; without it goes overdue, and the pool is liquidated."""
    scenario = yaml.safe_load(SCENARIO.read_text())
    scenario["keys"] = [{"key": KEY, "secret": SECRET, "user": "100001"}]
    scenario["ids"] = "fixed"
    scenario["users"]["100001"]["pool"]["contracts"][0]["repay_type"] = "0"
    config = {"policy": REPAYS["policy"] | {"repay_fixed": {"enabled": repays, "before_s": 5}}}
    async with open_a_world(scenario, config=config) as world, world.guarded():
        await world.until(
            lambda: bool(world.exchange.ledger.liquidations) and (not repays or bool(repaid(world)))
        )
        await world.until(lambda: len(world.exchange.ledger.liquidations) == (1 if repays else 2))
        lost = {item.user: item.reason for item in world.exchange.ledger.liquidations}
        assert lost == {"100002": "overdue"} | ({} if repays else {"100001": "overdue"})
        assert bool(world.heard("loan_overdue")) is not repays
        assert len(repaid(world)) == repays


@pytest.mark.slow
async def test_one_that_a_hand_repays_at_the_same_moment_is_repaid_once(open_a_world: OpenWorld) -> None:
    """Ours is lost, and the user repays it in the app meanwhile: nobody can tell whose row that is."""
    async with open_a_world(owing(contract()), config=REPAYS) as world:
        world.fault("close_before", endpoint="repay_fixed")
        async with world.guarded():
            await world.until(lambda: bool(world.heard("adjustment_unknown")))
            pool = world.exchange.ledger.loan(USER, "crypto_loan", "pool")
            wanted = RepaymentAsked(
                loan=pool, coin="USDT", amount=D(0), debt=DebtOf(fixed=True, contract="7", whole=True)
            )
            row = world.exchange.ledger.repay_as(wanted, world.exchange.moment(), BY_HAND)
            await world.until_quiet()
            await cycles(world, 3)
        assert not repaid(world)
        assert len(world.sent("repay_fixed")) == 1
        twin = SimpleNamespace(
            loan_id="pool", direction="repay", amount=D(1000), adjust_id=f"repay-fixed-{row.repay_id}"
        )
        await world.judge(twins=[twin])


@pytest.mark.slow
async def test_one_that_a_hand_has_repaid_is_not_repaid_again(open_a_world: OpenWorld) -> None:
    """The list of before is kept for an hour; it is read again once the turn to write has come."""
    async with open_a_world(owing(contract("8"), contract(ends_in="31m")), config=REPAYS) as world:
        world.fault("stale_reads", endpoint="contracts", times=1, seconds="60")
        pool = world.exchange.ledger.accounts[USER].pool
        assert pool is not None
        pool.contracts[0].pay(D(1000))
        async with world.guarded():
            await world.until(lambda: bool(repaid(world)))
            await world.until_quiet()
        sent = [json.loads(item["payload"])["loanId"] for item in world.sent("repay_fixed")]
        assert sent == ["7"]
        await world.judge()


@pytest.mark.slow
async def test_an_emergency_takes_the_coins_first(open_a_world: OpenWorld) -> None:
    """At 0.82 all 5000 USDT are added; once more have come the contract is repaid from what is left.

    36900 are owed on 45000. To bring them to 0.65 takes 36900 / 0.65 - 45000 = 11769, 13077 USDT at 0.9.
    """
    async with open_a_world(owing(contract(), flexible="35900"), config=REPAYS) as world:
        async with world.guarded():
            await world.until(lambda: sum(row.amount for row in world.effects()) > D(4500))
            await cycles(world, 3)
            assert not repaid(world)
            world.exchange.ledger.deposit(USER, "USDT", D(20000), world.exchange.moment())
            await world.until(lambda: bool(repaid(world)))
            await world.until_quiet()
        assert world.is_at_target("add") or world.ltv() < D("0.65")
        await world.judge()


@pytest.mark.parametrize("mode", [pytest.param("dry_run", marks=pytest.mark.slow), "live"])
async def test_plan_says_what_would_be_repaid_and_a_dry_run_does_nothing(
    open_a_world: OpenWorld, mode: str
) -> None:
    async with open_a_world(owing(contract()), config=REPAYS | {"mode": mode}) as world:
        (row,) = plans_as_json(await app.plan(world.settings()))
        assert (row["action"], row["coin"], row["amount"]) == ("repay", "USDT", "1000")
        assert row["contracts"][0]["what_follows"] == "overdue unless this guard repays it in its last 3600 s"
        assert not world.sent("repay_fixed")
        assert await app.run_once(world.settings()) == 0
        assert repaid(world) == ([] if mode == "dry_run" else [D(1000)])
        if mode == "dry_run":
            told = [(item["contract"], item["why"]) for item in world.heard("fixed_loan_not_repaid")]
            assert set(told) == {("7", "dry_run")}
        await world.judge()


@pytest.mark.slow
async def test_check_and_plan_say_who_repays(open_a_world: OpenWorld) -> None:
    async with open_a_world(owing(contract()), config=REPAYS) as world:
        _, told = await ran("check", "--json", "-c", world.config_file)
        found = {item["what"]: item["found"] for item in json.loads("".join(told.lines))["findings"]}
        ends = next(words for what, words in found.items() if what.endswith("fixed loan 7"))
        assert "overdue unless this guard repays it in its last 3600 s" in ends
        assert any("list of repayments of fixed loans" in what for what in found)
        _, told = await ran("plan", "--json", "-c", world.config_file)
        (row,) = json.loads("".join(told.lines))
        assert (row["action"], row["amount"]) == ("repay", "1000")
        assert "fixed_loan_not_repaid" not in {item["event"] for item in row["says"]}  # it would be


# Killed at any step.


@pytest.mark.parametrize(
    ("step", "when"),
    crossed(LANDMARKS, ["before", "after"], stays=lambda *_: False, tells=lambda _, when: when == "after"),
)
async def test_killed_at_any_step_it_neither_repeats_nor_forgets(
    open_a_world: OpenWorld, step: str, when: str
) -> None:
    async with open_a_world(owing(contract()), config=REPAYS) as world:
        await is_killed(world, when, step)
        async with world.guarded():
            await world.until(lambda: bool(repaid(world)))
            await world.until_quiet()
            await cycles(world, 2)
        assert repaid(world) == [D(1000)]
        await world.judge()
