"""What each coin could do for a pool, what holds it back, and which is taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from core_pools import D, Truth, at, pool_account, pool_facts, pool_policy

from ltv_guard.core.amounts.ltv_model import LtvModel
from ltv_guard.core.decide.budget import FundsBudget
from ltv_guard.core.decide.options import Option, best_of
from ltv_guard.core.decide.shortfall import Shortfall
from ltv_guard.core.decide.top_up import most_lacked, top_up_options
from ltv_guard.core.model.loans import Additions
from ltv_guard.guard import sentences

HELD = {"BTC": "1"}
NEED = D(9000)  # counted: 10000 USDT, 0.2 BTC, 4 ETH


def options(
    wallet: Mapping[str, str],
    truth: Truth | None = None,
    *,
    emergency: bool = False,
    refused: Mapping[str, str] | None = None,
    prices: Mapping[str, Decimal] | None = None,
    max_add: Mapping[str, str] | None = None,
    **of_account: Any,  # noqa: ANN401 - arguments of account()
) -> dict[str, Option]:
    truth = truth or at("0.76", HELD)
    about = pool_facts(truth, pool_policy(max_add=max_add), refused=dict(refused or {}))
    usd = truth.prices if prices is None else prices
    budget = FundsBudget(pool_account(about, wallet=wallet, prices=usd, **of_account))
    model = LtvModel(loan=about.loan, prices=usd)
    urgency = replace(about.urgency, emergency=emergency)
    need = Shortfall(facts=about, urgency=urgency, model=model, value=NEED)
    return {option.coin: option for option in top_up_options(need, budget)}


def names(option: Option) -> tuple[str, ...]:
    return tuple(map(sentences.constraint, option.held_back))


def test_every_preferred_coin_is_an_option_in_the_operators_order() -> None:
    found = options({"USDT": "50000", "BTC": "1", "ETH": "1"})
    assert list(found) == ["USDT", "USDC", "BTC", "ETH"]
    assert [found[coin].needed for coin in ("USDT", "BTC", "ETH")] == [D(10000), D("0.2"), D(4)]
    assert [found[coin].is_enough for coin in found] == [True, False, True, False]
    assert found["ETH"].gain == D(2250)


@pytest.mark.parametrize(
    ("changes", "amount", "held_back"),
    [
        ({"wallet": {"USDT": "4000"}}, "4000", "the Funding wallet leaves 4000 USDT"),
        (
            {"wallet": {"USDT": "20000"}, "reserve": {"USDT": "15000"}},
            "5000",
            "wallet.reserve of 15000 leaves 5000 USDT",
        ),
        (
            {
                "wallet": {"USDT": "20000"},
                "max_add_24h": {"USDT": "9000"},
                "added_24h": {"USDT": "8000"},
            },
            "1000",
            "wallet.max_add_24h of 9000 leaves 1000 USDT",
        ),
        (
            {"wallet": {"USDT": "20000"}, "max_add": {"USDT": "7000"}},
            "7000",
            "max_add allows 7000 USDT at a time",
        ),
        ({"wallet": {}}, "0", "the Funding wallet leaves 0 USDT"),
        (
            {"wallet": {"USDT": "20000"}, "refused": {"USDT": "the platform takes no more"}},
            "0",
            "the platform takes no more",
        ),
    ],
)
def test_what_holds_a_coin_back_is_named(changes: dict[str, Any], amount: str, held_back: str) -> None:
    option = options(**changes)["USDT"]
    assert option.amount == D(amount)
    assert names(option) == (held_back,)


def test_in_an_emergency_reserve_and_daily_cap_hold_nothing_back() -> None:
    limits = {"reserve": {"USDT": "19999"}, "max_add_24h": {"USDT": "1"}}
    assert options({"USDT": "20000"}, **limits)["USDT"].amount == D(1)
    assert options({"USDT": "20000"}, emergency=True, **limits)["USDT"].amount == D(10000)


def test_a_cap_on_one_adjustment_does_not_shorten_the_reach_of_an_episode() -> None:
    option = options({"USDT": "20000"}, max_add={"USDT": "7000"})["USDT"]
    assert (option.gain, option.reach) == (D(6300), NEED)
    assert options({"USDT": "8000"})["USDT"].reach == D(7200)


def test_the_first_that_is_enough_is_taken_and_otherwise_the_one_that_brings_most() -> None:
    def best(wallet: Mapping[str, str]) -> str:
        found = best_of(list(options(wallet).values()))
        assert found is not None
        return found.coin

    assert best({"USDT": "9999", "USDC": "10000", "BTC": "9"}) == "USDC"
    assert best({"USDT": "100", "USDC": "100", "BTC": "0.1", "ETH": "1"}) == "BTC"
    assert best({"USDT": "100", "USDC": "100"}) == "USDT"
    assert best_of([]) is None


def test_a_coin_without_price_or_terms_is_named_and_the_others_are_options() -> None:
    prices = {"USDC": D(1), "BTC": D(50000)}
    found = options({"USDT": "50000", "BTC": "1"}, prices=prices)
    assert names(found["USDT"]) == ("USDT has no price or no terms as collateral",)
    assert found["USDT"].amount == 0
    assert found["BTC"].is_enough
    no_terms = options({"USDT": "50000"}, at("0.76", HELD, steps={"USDT": ()}))
    assert names(no_terms["USDT"]) == ("USDT has no price or no terms as collateral",)


def test_only_so_many_coins_are_added_as_count() -> None:
    """Beyond its last tier a coin counts for nothing: what is there is not thrown after it."""
    steps = {"USDT": [("0.9", "0", "6000")]}
    option = options({"USDT": "50000"}, at("0.76", {"BTC": "1", "USDT": "1000"}, steps=steps))["USDT"]
    assert option.needed == D("Infinity")
    assert option.amount == D(5000)
    assert names(option) == ("what counts as collateral leaves 5000 USDT",)
    assert (option.is_enough, option.takes_more, option.reach) == (False, False, D(4500))


def test_a_full_coin_is_of_no_use() -> None:
    steps = {"USDT": [("0.9", "0", "6000")]}
    option = options({"USDT": "50000"}, at("0.76", {"BTC": "1", "USDT": "6000"}, steps=steps))["USDT"]
    assert (option.amount, option.gain, option.reach) == (0, 0, 0)


def test_what_is_lacking_is_named_in_a_coin_that_would_help() -> None:
    every = list(options({}, refused={"USDT": "refused"}, prices={"BTC": D(50000), "ETH": D(2500)}).values())
    assert most_lacked(every).coin == "BTC"


@pytest.mark.parametrize("additions", list(Additions))
def test_what_the_platform_shows_of_all_coins_together_takes_none_away(additions: Additions) -> None:
    found = options({"USDT": "50000"}, at("0.76", HELD, additions=additions))
    assert found["USDT"].is_enough


def test_with_its_fingerprint_an_option_stays_within_funds_and_cap() -> None:
    assert options({"USDT": "4000"})["USDT"].ceiling == D(4000)
    assert options({"USDT": "20000"}, max_add={"USDT": "7000"})["USDT"].ceiling == D(7000)
    assert options({"USDT": "20000"})["USDT"].ceiling > D(10000)
