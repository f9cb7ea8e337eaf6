"""A pool's fixed loans before the real daemon: read, told, and what is due for them kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from e2e_world import A_POOL, KEY, SECRET, USER, Product, World, ran
from pools_with_contracts import contract, cycles, owing

if TYPE_CHECKING:
    from conftest import OpenWorld, Timings

D = Decimal
SCENARIO = Path(__file__).parents[2] / "config" / "scenarios" / "fixed_term.yaml"
USDT = {"collateral_preference": ["USDT"], "reduce": {"enabled": False}}


@pytest.fixture
def product() -> Product:
    return A_POOL


@pytest.fixture(autouse=True)
def read_often(timings: Timings) -> None:
    """Between two tries a minute passes, which would only take time."""
    timings.change(terms_retried_ms=200)


def asked(world: World) -> int:
    """How often they were read: each time a page, and the empty one behind it."""
    return world.exchange.requests["GET /v5/crypto-loan-fixed/borrow-contract-info"] // 2


def ends(world: World) -> list[tuple[str, str]]:
    told = ("maturity_near", "loan_overdue", "loan_liquidated")
    return [(item["event"], item.get("contract", "")) for item in world.events if item["event"] in told]


async def test_a_pool_without_fixed_loans_is_never_asked_for_them(open_a_world: OpenWorld) -> None:
    async with open_a_world(owing(), config={"policy": USDT}) as world, world.guarded():
        await cycles(world, 4)
        assert asked(world) == 0


async def test_an_end_is_told_with_what_happens_then(open_a_world: OpenWorld) -> None:
    contracts = [contract(str(number), repay_type=str(number), ends_in="1h") for number in range(3)]
    config = {"policy": USDT | {"maturity_notice_s": [86400]}}
    async with open_a_world(owing(*contracts), config=config) as world, world.guarded():
        await world.until(lambda: len(world.heard("maturity_near")) == 3)
        await cycles(world, 3)
        near = world.heard("maturity_near")
        assert [(item["contract"], item["at_end"]) for item in near] == [
            ("0", "nothing"),
            ("1", "repaid"),
            ("2", "flexible"),
        ]
        assert {(item["product"], item["loan_id"]) for item in near} == {("crypto_loan", "pool")}
        assert near[1]["owed"] == {"USDT": "1000"}
        assert "from the Funding wallet" in near[1]["what_follows"]
        assert 3590 < near[1]["seconds_left"] <= 3600
        assert asked(world) == 1  # of one coin, once an hour


async def test_a_debt_that_changes_has_them_read_again(open_a_world: OpenWorld) -> None:
    async with open_a_world(owing(contract()), config={"policy": USDT}) as world, world.guarded():
        await world.until(lambda: asked(world) == 1)
        await cycles(world, 3)
        assert asked(world) == 1
        pool = world.exchange.ledger.accounts[USER].pool
        assert pool is not None
        pool.contracts[0].pay(D(400))
        await world.until(lambda: asked(world) == 2)
        await cycles(world, 3)
        assert asked(world) == 2


async def test_what_becomes_overdue_is_told_with_a_day_of_grace(open_a_world: OpenWorld) -> None:
    scenario = owing(contract(repay_type="0", ends_in="1s"), contract("8", repay_type="2", ends_in="1s"))
    async with open_a_world(scenario, config={"policy": USDT}) as world, world.guarded():
        await world.until(lambda: bool(world.heard("loan_overdue")))
        await cycles(world, 3)
        (overdue,) = world.heard("loan_overdue")  # the other one has turned flexible
        assert (overdue["level"], overdue["contract"], overdue["at_end"]) == ("critical", "7", "nothing")
        day = [int(overdue[name][8:10]) for name in ("expires_at", "liquidated_at")]
        assert day[1] - day[0] == 1 or day[1] == 1
        assert overdue["expires_at"][11:19] == overdue["liquidated_at"][11:19]


@pytest.mark.slow
async def test_a_pool_that_is_liquidated_for_an_overdue_loan_is_said_to_be(open_a_world: OpenWorld) -> None:
    """It owes nothing else, so that only the list of fixed repayments tells."""
    scenario = owing(contract(principal="20000", repay_type="0", ends_in="2s"), contract_grace=3)
    scenario["users"][USER]["pool"]["flexible"] = {}
    async with open_a_world(scenario, config={"policy": USDT}) as world, world.guarded():
        await world.until(lambda: bool(world.heard("loan_liquidated")))
        (lost,) = world.heard("loan_liquidated")
        assert "for being overdue (repayType 4)" in lost["why"]


async def test_one_that_is_repaid_at_its_end_is_not_told_as_overdue(open_a_world: OpenWorld) -> None:
    async with open_a_world(owing(contract(ends_in="2s")), config={"policy": USDT}) as world, world.guarded():
        await world.until(lambda: bool(world.exchange.ledger.contract_ends))
        await cycles(world, 6)
        assert not world.heard("loan_overdue")
        assert world.exchange.ledger.contract_ends[0].kind == 3


async def test_a_wallet_that_cannot_pay_what_is_due_is_told_with_what_is_missing(
    open_a_world: OpenWorld,
) -> None:
    scenario = owing(contract(), contract("8", ends_in="30h"), funding="400")
    async with open_a_world(scenario, config={"policy": USDT}) as world, world.guarded():
        await world.until(lambda: bool(world.heard("protection_short")))
        (short,) = world.heard("protection_short")
        assert (short["level"], short["coin"], short["missing"]) == ("critical", "USDT", D(600))
        assert "1000 USDT are due from the Funding wallet, which holds 400: fixed loan 7" in short["why"]
        world.exchange.ledger.deposit(USER, "USDT", D(600), world.exchange.moment())
        await cycles(world, 6)
        assert len(world.heard("protection_short")) == 1
        assert world.heard("cycle_finished")[-1]["critical"] == []


async def test_what_is_due_is_kept_and_the_rest_is_given(open_a_world: OpenWorld) -> None:
    """34200 are owed on 45000 that count, LTV 0.76: 8461 USDT would help; 5000 - 1000 may be given."""
    scenario = owing(contract(), flexible="33200")
    async with open_a_world(scenario, config={"policy": USDT}) as world, world.guarded():
        await world.until(lambda: bool(world.effects()))
        await world.until_quiet()
        given = sum(row.amount for row in world.effects())
        assert D(3990) < given <= D(4000)
        short = world.heard("protection_short")[-1]
        assert any("what a fixed loan will soon take" in item for item in short["held_back"])
        assert any(item.startswith("repaying") and "policy.repay is off" in item for item in short["help"])
        assert any("with BTC of its collateral" in item for item in short["by_hand"])
        await world.judge()


async def test_an_emergency_takes_what_is_due_too(open_a_world: OpenWorld) -> None:
    scenario = owing(contract(), flexible="36000")  # LTV 0.82
    async with open_a_world(scenario, config={"policy": USDT}) as world, world.guarded():
        await world.until(lambda: sum(row.amount for row in world.effects()) > D(4500))
        await world.until_quiet()
        await world.judge()


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "http_error"},
        {"kind": "not_json"},
        {"kind": "nonsense", "field": "repaymentTime", "value": "?"},
        pytest.param({"kind": "hang_before"}, marks=pytest.mark.slow),
    ],
    ids=lambda fault: str(fault["kind"]),
)
async def test_contracts_that_cannot_be_read_cost_nobody_anything(
    open_a_world: OpenWorld, fault: dict[str, Any]
) -> None:
    """The pool is brought to its target as if it had none; what could not be read is told once."""
    scenario = owing(contract(), flexible="33200", funding="60000")
    async with open_a_world(scenario, config={"policy": USDT}) as world:
        world.fault(endpoint="contracts", times=None, **fault)
        async with world.guarded():
            await world.until_settled_at_target()
            if fault["kind"] == "nonsense":
                await world.until(lambda: bool(world.heard("answer_odd")))
                assert world.heard("answer_odd")[0]["endpoint"].endswith("borrow-contract-info")
            else:
                await world.until(lambda: bool(world.heard("read_failed")))
                assert {item["what"] for item in world.heard("read_failed")} == {"contracts in USDT"}
            world.exchange.clear_faults()
            await world.until(lambda: bool(world.heard("maturity_near")))


async def test_plan_and_check_tell_what_happens_at_the_end(open_a_world: OpenWorld) -> None:
    """22000 are owed on 45000, LTV 0.489. A thousandth of interest an hour brings it to 0.75 in 24 days."""
    scenario = owing(contract(annual_rate="0.0365"), contract("8", repay_type="0", ends_in="3000h"))
    scenario["users"][USER]["pool"]["hourly_rate"] = "0.001"
    async with open_a_world(scenario, config={"policy": USDT}) as world:
        status, told = await ran("plan", "--json", "-c", world.config_file)
        (row,) = json.loads("".join(told.lines))
        assert status == 0
        assert [(item["loan_id"], item["owed"], item["at_end"]) for item in row["contracts"]] == [
            ("7", "1000", "repaid"),
            ("8", "1000", "nothing"),
        ]
        assert row["fixed_interest_a_day"] == {"USDT": "0.10000000"}
        assert row["penalty_interest_a_day"] == {"USDT": "0.30000000"}
        # 0.534 / (20000 * 0.001 + 0.1 / 24) * 22000 are 587 hours
        days = datetime.fromisoformat(row["interest_reaches_trigger_at"]) - datetime.now(UTC)
        assert 23 <= days / timedelta(days=1) <= 25
        _, shown = await ran("plan", "-c", world.config_file, environ={"COLUMNS": "400"})
        assert "fixed loan 7 of 1000 USDT ends" in shown.output
        assert "and is then repaid from the Funding wallet" in shown.output
        assert "interest alone brings it to its trigger by" in shown.output
        assert "three times as much: 0.30000000 USDT a day instead of 0.10000000" in shown.output
        status, checked = await ran("check", "-c", world.config_file, environ={"COLUMNS": "400"})
        assert "fixed loan 7" in checked.output
        assert "overdue unless you repay it" in checked.output


async def test_what_a_fall_needs_is_reckoned_without_the_coins_that_are_due(open_a_world: OpenWorld) -> None:
    """25000 on 45000, LTV 0.5556. After a fall of 50 % it is 1.1111, and 0.7094 BTC bring it to 0.65."""
    coins = {"BTC": {"tiers": [{"ratio": "0.9"}]}, "USDT": {"accuracy": 4, "tiers": [{"ratio": "0.9"}]}}
    scenario = owing(contract(coin="BTC", principal="0.1"), flexible="20000", coins=coins)
    scenario["users"][USER]["funding"] = {"BTC": "0.75"}
    for due_within_s, missing in ((86400, True), (0, False)):
        config = {"policy": USDT | {"due_within_s": due_within_s}}
        async with open_a_world(scenario, config=config) as world:
            _, told = await ran("check", "--json", "-c", world.config_file)
            found = json.loads("".join(told.lines))["findings"]
            (fall,) = (item for item in found if item["what"].endswith("fall of 50 %"))
            assert bool(fall["missing"]) is missing


@pytest.mark.slow
@pytest.mark.parametrize("keeps", [True, False])
async def test_the_scenario_fixed_term_is_won_only_by_keeping_what_is_due(
    open_a_world: OpenWorld, *, keeps: bool
) -> None:
    """Shown: kept, the exchange repays the loan; not kept, it goes overdue, and the pool is liquidated."""
    scenario = yaml.safe_load(SCENARIO.read_text())
    scenario["keys"] = [{"key": KEY, "secret": SECRET, "user": "100001"}]
    scenario["ids"] = "fixed"
    policy = USDT if keeps else USDT | {"due_within_s": 0}
    async with open_a_world(scenario, config={"policy": policy}) as world, world.guarded():
        await world.until(lambda: len(world.exchange.ledger.contract_ends) == 2)
        end = next(item for item in world.exchange.ledger.contract_ends if item.user == "100001")
        assert end.kind == (3 if keeps else 0)
        await world.until(lambda: len(world.exchange.ledger.liquidations) == (1 if keeps else 2))
        lost = {item.user: item.reason for item in world.exchange.ledger.liquidations}
        assert lost == {"100002": "overdue"} | ({} if keeps else {"100001": "overdue"})
        assert bool(world.heard("loan_overdue")) is not keeps
        assert world.heard("maturity_near")
