"""What a pool's fixed loans take from the Funding wallet, when, and what of it is kept. One case a line."""

from collections.abc import Mapping
from decimal import Decimal

import pytest
from core_builders import D, account
from core_pools import at, decide_pool, pool_policy

from ltv_guard.core.amounts.due import due_coins
from ltv_guard.core.decide.budget import FundsBudget
from ltv_guard.core.decide.constraints import Limit
from ltv_guard.core.decide.decision import Cause
from ltv_guard.core.model.contracts import AtEnd, Contract, ContractList
from ltv_guard.core.model.maturity import maturity_of

HOUR, DAY = 3_600_000, 86_400_000
NOW = 1_700_000_000_000
REPAID, FLEXIBLE, NOTHING, UNTOLD = AtEnd.REPAID, AtEnd.FLEXIBLE, AtEnd.NOTHING, AtEnd.UNTOLD


def contract(
    principal: str, in_ms: int, at_end: AtEnd = REPAID, interest: str = "0", coin: str = "USDT"
) -> Contract:
    return Contract(
        loan_id=f"{principal}-{in_ms}",
        coin=coin,
        ends_at_ms=NOW + in_ms,
        principal=D(principal),
        interest=D(interest),
        at_end=at_end,
    )


# Fixed loans in USDT, what the pool owes in them, what is due within a day.
CASES: list[tuple[str, list[Contract], str | None, str]] = [
    ("one that ends within the day", [contract("1000", HOUR)], "1000", "1000"),
    ("one that ends in a day", [contract("1000", DAY)], "1000", "1000"),
    ("one that ends later", [contract("1000", DAY + 1)], "1000", "0"),
    ("its interest too", [contract("1000", HOUR, interest="2.5")], "1002.5", "1002.5"),
    ("interest that no row tells: 1010 are owed", [contract("1000", HOUR)], "1010", "1010"),
    # 400 and 600 are listed, 1010 owed: 1010 * 400 / 1000 = 404
    ("its share of such interest", [contract("400", HOUR), contract("600", 9 * DAY)], "1010", "404"),
    # 1 and 2 are listed, 3.1 owed: 3.1 / 3 = 1.0333..., rounded up
    ("rounded up", [contract("1", HOUR), contract("2", 9 * DAY)], "3.1", "1.03333334"),
    ("no less than is listed", [contract("1000", HOUR)], "900", "1000"),
    ("where the debt is not known, what is listed", [contract("1000", HOUR)], None, "1000"),
    ("both that end", [contract("400", HOUR), contract("600", 2 * HOUR)], "1000", "1000"),
    ("nothing for one that turns flexible", [contract("1000", HOUR, FLEXIBLE)], "1000", "0"),
    ("nor where nothing repays it", [contract("1000", HOUR, NOTHING)], "1000", "0"),
    ("as for the default where it is untold", [contract("1000", HOUR, UNTOLD)], "1000", "1000"),
    # 300 of 1000 are due; of the 10 that no row tells, 3 are its share
    ("beside one that turns", [contract("300", 1), contract("700", 1, FLEXIBLE)], "1010", "303"),
    ("one whose end has come, and is not paid yet", [contract("1000", -HOUR)], "1000", "1000"),
    ("nothing without any", [], "1000", "0"),
]


@pytest.mark.parametrize(
    ("contracts", "fixed", "due"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_what_is_due_is_what_will_be_taken(contracts: list[Contract], fixed: str | None, due: str) -> None:
    lists = {"USDT": ContractList(contracts=tuple(contracts))}
    owed = {} if fixed is None else {"USDT": D(fixed)}
    assert due_coins(lists, owed, NOW, DAY) == ({} if due == "0" else {"USDT": D(due)})


def test_a_row_that_is_not_understood_lets_nothing_be_shared_out() -> None:
    lists = {"USDT": ContractList(contracts=(contract("400", HOUR),), whole=False)}
    assert due_coins(lists, {"USDT": D(1000)}, NOW, DAY) == {"USDT": D(400)}


def test_nothing_is_due_where_nothing_is_to_be_kept() -> None:
    lists = {"USDT": ContractList(contracts=(contract("400", -1),))}
    assert due_coins(lists, {}, NOW, 0) == {}


def test_each_coin_has_its_own() -> None:
    lists = {
        "USDT": ContractList(contracts=(contract("400", HOUR),)),
        "ETH": ContractList(contracts=(contract("3", HOUR, coin="ETH"),)),
    }
    assert due_coins(lists, {"USDT": D(400), "ETH": D(3)}, NOW, DAY) == {"USDT": D(400), "ETH": D(3)}


@pytest.mark.parametrize(
    ("left_ms", "overdue", "forfeit"),
    [(1, False, False), (0, True, False), (-DAY + 1, True, False), (-DAY, True, True)],
)
def test_a_contract_has_a_day_of_grace(left_ms: int, *, overdue: bool, forfeit: bool) -> None:
    found = maturity_of(contract("1", left_ms), NOW, (DAY,))
    assert (found.is_overdue, found.is_forfeit) == (overdue, forfeit)
    assert found.liquidated_at_ms == NOW + left_ms + DAY


# A pool of 1 BTC at 50000 USD; trigger 0.75, target 0.65, emergency 0.80. Coins count for 0.9. At 0.76 it
# owes 34200; 34200 / 0.65 = 52615.38 are to count, so 7615.38 / 0.9 = 8461.54 USDT.
RULES = pool_policy(["USDT"])


@pytest.mark.parametrize(
    ("ltv", "wallet", "due", "reserve", "amount"),
    [
        ("0.76", "20000", {}, {}, "8461"),  # enough
        ("0.76", "20000", {"USDT": "10000"}, {}, "8461"),  # 20000 - 10000 are still enough
        ("0.76", "12000", {"USDT": "10000"}, {}, "2000"),  # 12000 - 10000
        ("0.76", "12000", {"USDT": "10000"}, {"USDT": "500"}, "1500"),  # 12000 - 500 - 10000
        ("0.76", "12000", {"BTC": "1"}, {}, "8461"),  # another coin's
        ("0.76", "9000", {"USDT": "10000"}, {}, None),  # 9000 - 10000 leave nothing
        # An emergency: 0.81 owes 36450; 36450 / 0.65 = 56076.92, so 11076.92 / 0.9 = 12307.69 USDT.
        ("0.81", "20000", {"USDT": "10000"}, {}, "12307"),
        ("0.81", "12000", {"USDT": "10000"}, {"USDT": "500"}, "11999"),  # all that is there
    ],
)
def test_what_is_due_is_kept_but_in_an_emergency(
    ltv: str, wallet: str, due: Mapping[str, str], reserve: Mapping[str, str], amount: str | None
) -> None:
    decision = decide_pool(
        at(ltv, {"BTC": "1"}),
        {"USDT": wallet},
        RULES,
        of_account={"due": due, "reserve": reserve},
    )
    if amount is None:
        assert decision.cause is Cause.SHORT
        assert Limit.DUE in {item.kind for item in decision.held_back}
        return
    assert decision.coin == "USDT"
    assert abs(decision.amount - D(amount)) <= 2, decision.amount


def test_a_transfer_brings_what_is_due_as_well() -> None:
    """To give 8461.54 USDT and keep 10000, 12000 are 6461.54 too few."""
    budget = FundsBudget(account(wallet={"USDT": 12000}, due={"USDT": 10000}))
    assert budget.lacks("USDT", D("8461.54"), emergency=False) == Decimal("6461.54")
    assert budget.lacks("USDT", D("8461.54"), emergency=True) == 0
