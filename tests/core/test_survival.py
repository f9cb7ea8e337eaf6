"""What a fall asks of a wallet: nothing short of the trigger, and more the deeper it is."""

from decimal import Decimal

import pytest
from core_builders import loan

from ltv_guard.core.amounts.survival import Held, free_in, missing_in, needed_in, survived

D = Decimal


def held(ltv: str = "0.60", **changes: object) -> Held:
    return Held(loan=loan(ltv, **changes), trigger_ltv=D("0.75"), target_ltv=D("0.65"))  # type: ignore[arg-type]


def test_a_fall_that_does_not_reach_the_trigger_asks_for_nothing() -> None:
    assert needed_in(D("0.19"), [held()]) == {}
    assert needed_in(D("0.20"), [held()]) != {}


def test_what_is_needed_brings_the_loan_to_its_target() -> None:
    fall = D("0.30")
    added = needed_in(fall, [held()])["BTC"]

    assert D("0.60") / (1 - fall) / (1 + added) == pytest.approx(D("0.65"))


def test_loans_of_one_coin_add_up_and_others_stand_apart() -> None:
    alone = needed_in(D("0.3"), [held()])["BTC"]
    together = needed_in(D("0.3"), [held(), held(loan_id="2"), held(loan_id="3", coin="ETH", held=10)])

    assert together == {"BTC": 2 * alone, "ETH": 10 * alone}


def test_a_wallet_survives_as_deep_as_it_lacks_nothing() -> None:
    wallet = {"BTC": D("0.5")}
    deepest = survived([held()], wallet)

    assert missing_in(deepest, [held()], wallet) == {}
    assert missing_in(deepest + D("0.01"), [held()], wallet) != {}


@pytest.mark.parametrize("coins", ["0", "0.01", "0.2", "3", "60"])
def test_no_fall_short_of_it_is_one_that_the_wallet_does_not_survive(coins: str) -> None:
    loans, wallet = [held(), held("0.70", loan_id="2"), held("0.3", loan_id="3")], {"BTC": D(coins)}
    deepest = survived(loans, wallet)
    falls = [D("0.01") * step for step in range(1, 100)]
    assert [fall for fall in falls if not missing_in(fall, loans, wallet)] == [
        fall for fall in falls if fall <= deepest
    ]


def test_an_empty_wallet_survives_until_the_first_trigger_and_no_loans_survive_everything() -> None:
    assert survived([held()], {}) == D("0.19")
    assert survived([], {}) == D("0.99")


def test_what_is_reserved_is_not_free_and_nothing_is_less_than_nothing() -> None:
    wallet, reserve = {"BTC": D(3), "ETH": D(1), "SOL": D(2)}, {"BTC": D(1), "ETH": D(2), "XRP": D(9)}
    assert free_in(wallet, reserve) == {"BTC": D(2), "ETH": D(0), "SOL": D(2)}
    assert free_in(wallet, reserve, {"BTC": D("1.5"), "SOL": D(9)}) == {
        "BTC": D("0.5"),
        "ETH": D(0),
        "SOL": D(0),
    }
