"""What is decided for a pool: how much, of which coin, and what is said where it can't be done."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from core_builders import SENT, START, facts, history, judge, loan, moment, policy
from core_pools import (
    FLAT,
    POOL,
    PREFERENCE,
    PRICES,
    TARGET,
    D,
    Truth,
    at,
    cents,
    decide_pool,
    pool_account,
    pool_facts,
    pool_intent,
    pool_policy,
    pool_row,
)
from hypothesis import assume, given
from hypothesis import strategies as st

from ltv_guard.core.amounts.composition import composition_of
from ltv_guard.core.decide.decide import decide
from ltv_guard.core.decide.decision import Cause, Decision, EpisodeChange
from ltv_guard.core.model.history import RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Additions, Direction
from ltv_guard.core.reconcile.coin_changes import unexplained_change
from ltv_guard.core.reconcile.evidence import Evidence, InFlightWatch
from ltv_guard.core.reconcile.freshness import Freshness
from ltv_guard.core.reconcile.settlement import SettlementTimeouts, settle
from ltv_guard.guard import sentences

HELD = {"BTC": "1", "ETH": "10"}
RICH = {"USDT": "1000000", "USDC": "1000000", "BTC": "50", "ETH": "1000"}
WITHIN = D("0.002")
STEEP = [("0.9", "0", "50000"), ("0.7", "50000", "60000"), ("0.5", "60000", None)]
COARSE = [("0.9", "0", "11"), ("0.7", "11", "13"), ("0.5", "13", None)]  # in coins


def after(truth: Truth, decision: Decision, *, with_fingerprint: bool = False) -> Decimal:
    """The true LTV once the decision is carried out, its amount with the largest mark or without."""
    assert decision.coin is not None
    sign = 1 if decision.direction is Direction.ADD else -1
    amount = decision.ceiling if with_fingerprint else decision.amount
    return truth.plus(decision.coin, sign * amount).ltv


# How much


@pytest.mark.parametrize("coin", PREFERENCE)
@pytest.mark.parametrize("ltv", ["0.750001", "0.78", "0.9"])
def test_an_unhindered_add_leaves_the_pool_just_below_its_target(coin: str, ltv: str) -> None:
    truth = at(ltv, HELD)
    decision = decide_pool(truth, RICH, pool_policy([coin]))
    assert (decision.direction, decision.coin, decision.missing) == (Direction.ADD, coin, 0)
    for with_fingerprint in (False, True):
        assert TARGET - WITHIN <= after(truth, decision, with_fingerprint=with_fingerprint) <= TARGET


@pytest.mark.parametrize(
    ("unit", "steps", "coin", "held"),
    [
        ("usd", STEEP, "BTC", {"BTC": "0.9", "ETH": "10"}),
        ("usd", STEEP, "BTC", {"ETH": "30"}),
        ("usd", STEEP, "ETH", {"BTC": "1.1", "ETH": "19"}),
        ("usd", STEEP, "USDT", {"BTC": "1", "USDT": "48000"}),
        ("coins", COARSE, "ETH", {"BTC": "1", "ETH": "10.5"}),
        ("coins", COARSE, "ETH", {"BTC": "1", "ETH": "12.5"}),
        ("coins", COARSE, "ETH", {"BTC": "1"}),  # BTC tells how tiers are read
        ("coins", COARSE, "USDT", {"BTC": "1", "ETH": "12"}),
    ],
)
def test_an_add_that_crosses_tiers_leaves_the_pool_just_below_its_target(
    unit: str, steps: list[tuple[str, str, str | None]], coin: str, held: dict[str, str]
) -> None:
    truth = at("0.79", held, unit=unit, steps=dict.fromkeys(PREFERENCE, steps))
    decision = decide_pool(truth, RICH, pool_policy([coin]))
    assert decision.direction is Direction.ADD
    for with_fingerprint in (False, True):
        assert TARGET - WITHIN <= after(truth, decision, with_fingerprint=with_fingerprint) <= TARGET


AMOUNTS = st.decimals(D("0.05"), D(30), places=6)
LADDERS = st.sampled_from([FLAT, STEEP, COARSE, [("0.95", "0", "20000"), ("0.6", "20000", None)]])


@given(
    st.fixed_dictionaries({"BTC": AMOUNTS, "ETH": AMOUNTS}),
    st.fixed_dictionaries(dict.fromkeys(["BTC", "ETH", "USDT"], LADDERS)),
    st.sampled_from(["usd", "coins"]),
    st.decimals(D("0.75"), D("0.95"), places=6),
    st.sampled_from(["BTC", "ETH", "USDT"]),
)
def test_whatever_the_tiers_mean_an_unhindered_add_is_never_too_small(
    held: dict[str, Decimal],
    steps: dict[str, list[tuple[str, str, str | None]]],
    unit: str,
    ltv: Decimal,
    coin: str,
) -> None:
    truth = at(str(ltv), {name: str(amount) for name, amount in held.items()}, unit=unit, steps=steps)
    assume(truth.shown().ltv >= D("0.75"))
    decision = decide_pool(truth, dict.fromkeys(PREFERENCE, "1e12"), pool_policy([coin]))
    assert decision.direction is Direction.ADD
    assert after(truth, decision) <= TARGET


def test_where_a_ratio_was_misread_the_next_adjustment_closes_the_gap_at_once() -> None:
    """The terms say 0.9, the exchange counts 0.6: what is shown after the first add tells."""
    truth = at("0.80", {"BTC": "1"}, steps={"USDT": [("0.6", "0", None)]})
    terms = at("0.80", {"BTC": "1"})
    first = decide_pool(terms, RICH, pool_policy(["USDT"]))
    truth = truth.plus("USDT", first.amount)
    assert TARGET < truth.ltv < D("0.75")  # short of the target, and not in breach any more
    shown = replace(truth.shown(), collateral=_with_tiers(truth, terms))
    (second,) = decide(pool_account(facts(shown, pool_policy(["USDT"]), episode_open=True), wallet=RICH))
    assert second.direction is Direction.ADD
    assert TARGET - WITHIN <= after(truth, second) <= TARGET


def _with_tiers(truth: Truth, terms: Truth) -> tuple:  # type: ignore[type-arg]
    return tuple(
        replace(item, tiers=terms.tiers_of(item.coin)) if item.coin == "USDT" else item
        for item in truth.shown().collateral
    )


def test_an_episode_ends_where_the_pool_is_at_its_target() -> None:
    decision = decide_pool(at("0.6499", HELD), RICH, episode_open=True)
    assert (decision.cause, decision.episode) == (Cause.AT_TARGET, EpisodeChange.CLOSES)


def test_dust_of_the_preferred_coin_does_not_spoil_the_amount() -> None:
    for dust in ("0.00000001", "0.00000013"):
        truth = at("0.80", {"ETH": "20", "BTC": dust})
        decision = decide_pool(truth, RICH, pool_policy(["BTC"]))
        assert TARGET - WITHIN <= after(truth, decision) <= TARGET


# Which coin


def test_the_most_wanted_coin_that_is_enough_is_added() -> None:
    assert decide_pool(at("0.80", HELD), RICH).coin == "USDT"
    assert decide_pool(at("0.80", HELD), {**RICH, "USDT": "100"}).coin == "USDC"
    assert decide_pool(at("0.80", HELD), RICH, pool_policy(["ETH", "USDT"])).coin == "ETH"


@pytest.mark.parametrize(
    ("of_account", "rules", "refused"),
    [
        ({"reserve": {"USDT": "999999"}}, pool_policy(), {}),
        ({"max_add_24h": {"USDT": "5"}}, pool_policy(), {}),
        ({}, pool_policy(max_add={"USDT": "5"}), {}),
        ({}, pool_policy(), {"USDT": "the platform takes no more of this collateral (retCode 148048)"}),
    ],
    ids=["reserve", "max_add_24h", "max_add", "refused"],
)
def test_a_first_choice_that_is_held_back_gives_way_to_the_next_coin(
    of_account: dict[str, object], rules: object, refused: dict[str, str]
) -> None:
    truth = at("0.77", HELD)
    decision = decide_pool(truth, RICH, rules, of_account=of_account, refused=refused)  # type: ignore[arg-type]
    assert (decision.direction, decision.coin) == (Direction.ADD, "USDC")
    assert TARGET - WITHIN <= after(truth, decision) <= TARGET
    assert decision.missing == 0


def test_where_no_coin_is_enough_the_most_effective_goes_first_and_the_others_follow() -> None:
    truth, wallet = at("0.79", HELD), {"USDT": "2000", "BTC": "0.1", "ETH": "4"}
    taken = []
    for _ in range(3):
        decision = decide_pool(truth, wallet, episode_open=bool(taken))
        assert decision.coin is not None
        taken.append(decision.coin)
        assert decision.missing == 0  # together they are enough
        truth = truth.plus(decision.coin, decision.amount)
        wallet[decision.coin] = str(D(wallet[decision.coin]) - decision.amount)
    assert taken == ["ETH", "BTC", "USDT"]
    assert TARGET - WITHIN <= truth.ltv <= TARGET


def test_a_price_that_is_missing_for_one_coin_leaves_the_others() -> None:
    prices = {coin: usd for coin, usd in PRICES.items() if coin != "USDT"}
    truth = at("0.80", HELD)
    decision = decide_pool(truth, RICH, of_account={"prices": prices})
    assert (decision.direction, decision.coin) == (Direction.ADD, "USDC")
    assert "USDT has no price or no terms as collateral" in sentences.held_back(decision)


def test_without_any_price_a_breach_waits_for_them_and_says_so() -> None:
    about = pool_facts(at("0.80", HELD))
    (decision,) = decide(replace(pool_account(about, wallet=RICH), prices=None))
    assert (decision.cause, decision.breach, decision.acts) == (Cause.WALLET_UNREAD, True, False)


# What is short


@pytest.mark.parametrize("ltv", ["0.77", "0.85"])
def test_what_is_missing_would_have_been_enough(ltv: str) -> None:
    truth = at(ltv, HELD)
    wallet = {"USDT": "1000", "BTC": "0.01"}
    decision = decide_pool(truth, wallet)
    assert decision.acts
    assert decision.missing > 0
    for coin, coins in wallet.items():
        truth = truth.plus(coin, D(coins))
    assert decision.reachable_ltv == truth.ltv.quantize(D("0.0001"))
    assert TARGET - WITHIN <= truth.plus(decision.coin or "", decision.missing).ltv <= TARGET


def test_with_an_empty_wallet_the_coin_that_is_wanted_first_is_what_is_missing() -> None:
    truth = at("0.80", HELD)
    decision = decide_pool(truth, {})
    assert (decision.cause, decision.coin, decision.acts) == (Cause.SHORT, "USDT", False)
    assert decision.reachable_ltv == truth.ltv.quantize(D("0.0001"))
    assert TARGET - WITHIN <= truth.plus("USDT", decision.missing).ltv <= TARGET
    assert tuple(sentences.held_back(decision)) == tuple(
        f"the Funding wallet leaves 0 {coin}" for coin in PREFERENCE
    )


def test_what_is_missing_is_named_in_a_coin_that_the_exchange_takes() -> None:
    decision = decide_pool(at("0.80", HELD), {}, refused={"USDT": "refused", "USDC": "refused"})
    assert (decision.cause, decision.coin) == (Cause.SHORT, "BTC")
    assert 0 < decision.missing < 1


def test_where_no_amount_would_do_it_is_said_in_words_and_not_in_infinities() -> None:
    truth = at("0.80", {"USDT": "9"}, steps={"USDT": [("0.9", "0", "10")]})
    for wallet in ({}, RICH):
        decision = decide_pool(truth, wallet, pool_policy(["USDT"]))
        assert decision.breach
        assert "Infinity" not in sentences.reason(decision)
        assert "no amount of USDT by itself brings it to 0.65" in sentences.reason(decision)
        assert decision.missing == D("Infinity")  # the log says null
        json.dumps([sentences.reason(decision), sentences.held_back(decision)])


def test_caps_of_nothing_are_short_too() -> None:
    """The wallet is full, but no adjustment is allowed: silence would be a breach that nobody hears of."""
    decision = decide_pool(at("0.80", HELD), RICH, pool_policy(["USDT"], max_add={"USDT": "0"}))
    assert (decision.cause, decision.acts, decision.breach) == (Cause.SHORT, False, True)
    assert tuple(sentences.held_back(decision)) == ("max_add allows 0 USDT at a time",)


def test_a_preference_that_names_no_coin_of_the_exchange_is_short() -> None:
    decision = decide_pool(at("0.80", HELD), RICH, pool_policy(["XYZ"]))
    assert (decision.cause, decision.coin) == (Cause.SHORT, None)


def test_coins_that_would_not_count_stay_in_the_wallet() -> None:
    steps = {"USDT": [("0.9", "0", "6000")]}
    truth = at("0.80", {"BTC": "1", "USDT": "1000"}, steps=steps)
    decision = decide_pool(truth, {"USDT": "50000"})
    assert decision.amount == 5000
    assert decision.ceiling <= 5000
    assert decision.missing > 0


@pytest.mark.parametrize("steps", [[("0", "0", None)], [("0", "0", "10")], [("0.9", "0", "0.00000001")]])
@pytest.mark.parametrize("ltv", ["0.30", "0.80"])
def test_ratios_of_nothing_neither_crash_nor_hang_nor_act(
    ltv: str, steps: list[tuple[str, str, str | None]]
) -> None:
    truth = at(ltv, HELD, steps={"USDT": steps})
    decision = decide_pool(truth, RICH, pool_policy(["USDT"]))
    assert not decision.acts


# colRes


@pytest.mark.parametrize("additions", list(Additions))
def test_what_the_platform_shows_of_all_coins_together_hinders_no_add(additions: Additions) -> None:
    truth = at("0.84", HELD, additions=additions)
    assert decide_pool(truth, RICH).direction is Direction.ADD
    first = replace(pool_intent(truth.shown(), "USDT", "100"), state=State.UNKNOWN, adjust_id=None)
    assert decide_pool(truth, RICH, open_intents=(first,), window_over=True).cause is Cause.RESCUE


# Waiting for the exchange


@pytest.mark.parametrize("state", [State.ACCEPTED, State.UNKNOWN, State.SENT])
def test_an_open_intent_in_any_coin_holds_up_the_pool(state: State) -> None:
    truth = at("0.78", HELD)
    first = replace(pool_intent(truth.shown(), "ETH", "1"), state=state)
    decision = decide_pool(truth, RICH, open_intents=(first,))
    assert (decision.cause, decision.acts) == (Cause.OPEN_INTENT, False)


def settled(status: RowStatus) -> Intent:
    before = at("0.80", HELD)
    sent = replace(pool_intent(before.shown(), "USDT", "1000"), state=State.ACCEPTED)
    row = pool_row(before.shown(), before.plus("USDT", D(1000)).shown(), sent, status=status)
    evidence = Evidence(history=history(row, began=moment(SENT + 500)), loan=before.shown(), claimed=())
    return settle(
        sent, InFlightWatch(since=moment(SENT)), evidence, SettlementTimeouts(), moment(SENT + 600)
    ).intent


def test_the_status_in_the_history_says_how_an_accepted_adjustment_stands() -> None:
    assert settled(RowStatus.SUCCESS).state is State.CONFIRMED
    assert settled(RowStatus.PROCESSING).state is State.ACCEPTED
    failed = settled(RowStatus.FAILED)
    assert (failed.state, failed.ret_msg) == (State.REJECTED, "the exchange's history says that it failed")


# Releases

LOW = {"USDT": "20000", "BTC": "1", "ETH": "10"}


def low(ltv: str, held: dict[str, str] | None = None, **changes: object) -> Decision:
    return decide_pool(at(ltv, held or LOW), {}, **changes)  # type: ignore[arg-type]


def test_the_coins_that_are_wanted_least_are_released_first() -> None:
    truth = at("0.35", LOW)
    order = []
    while (decision := decide_pool(truth, {})).acts:
        assert decision.coin is not None
        assert len(order) < 9
        order.append(decision.coin)
        truth = truth.plus(decision.coin, -decision.amount)
        truth = replace(truth, debt_usd=truth.total * D("0.35"))  # it is paid back meanwhile
        truth = replace(truth, held={coin: amount for coin, amount in truth.held.items() if amount})
        if decision.coin not in truth.held and len(truth.held) == 1:
            break
    assert list(dict.fromkeys(order)) == ["ETH", "BTC"]
    assert list(truth.held) == ["USDT"]


@given(st.decimals(D("0.05"), D("0.399"), places=6), st.sampled_from(["usd", "coins"]), LADDERS)
def test_a_release_never_brings_the_pool_above_its_target(
    ltv: Decimal, unit: str, steps: list[tuple[str, str, str | None]]
) -> None:
    truth = at(
        str(ltv), {"BTC": "12", "ETH": "3", "USDT": "9000"}, unit=unit, steps=dict.fromkeys(PREFERENCE, steps)
    )
    decision = decide_pool(truth, {})
    if decision.acts:
        assert after(truth, decision, with_fingerprint=True) <= D("0.55")


def test_dust_of_the_last_choice_does_not_keep_the_others_from_being_released() -> None:
    decision = low("0.39", {"BTC": "1", "ETH": "0.001"})
    assert (decision.direction, decision.coin) == (Direction.REDUCE, "BTC")


def test_a_coin_that_the_exchange_keeps_gives_way_to_the_next() -> None:
    assert low("0.39", kept={"ETH": "the exchange's maximum reduction leaves 0 ETH"}).coin == "BTC"
    only = low("0.39", {"ETH": "10"}, kept={"ETH": "the exchange keeps it"})
    assert (only.cause, only.acts) == (Cause.RELEASE_WAITS, False)


def test_what_the_exchange_keeps_may_still_be_added() -> None:
    decision = decide_pool(at("0.80", HELD), RICH, pool_policy(["ETH"]), kept={"ETH": "it keeps it"})
    assert (decision.direction, decision.coin) == (Direction.ADD, "ETH")


def test_coins_that_the_operator_does_not_name_are_neither_added_nor_released() -> None:
    assert not low("0.39", {"ETH": "10"}, rules=pool_policy(["USDT"])).acts


# One wallet for both products


def test_an_order_and_a_pool_are_served_from_one_wallet_and_never_twice_with_one_coin() -> None:
    order = facts(loan("0.85", held="1", coin="BTC"), policy())
    pool = pool_facts(at("0.78", {"BTC": "1"}), pool_policy(["BTC"]))
    assert pool.loan.danger < D("0.85")
    for btc in ("0.2", "0.35", "0.6", "5"):
        decisions = decide(pool_account(pool, order, wallet={"BTC": btc}))
        spent = sum((item.ceiling for item in decisions if item.acts), D(0))
        assert spent <= D(btc)
    assert all(item.acts and item.missing == 0 for item in decisions)


def test_a_reserve_and_a_daily_cap_hold_for_both_products_together() -> None:
    order = facts(loan("0.76", held="1", coin="BTC"), policy())
    pool = pool_facts(at("0.77", {"BTC": "1"}), pool_policy(["BTC"]))
    for limits in ({"reserve": {"BTC": "4.8"}}, {"max_add_24h": {"BTC": "0.2"}}):
        decisions = decide(pool_account(pool, order, wallet={"BTC": "5"}, **limits))
        assert sum((item.ceiling for item in decisions if item.acts), D(0)) <= D("0.2")


def test_what_an_open_add_of_the_other_product_may_take_is_not_given_twice() -> None:
    truth = at("0.78", HELD)
    first = replace(pool_intent(truth.shown(), "BTC", "0.9"), state=State.UNKNOWN)
    pool = pool_facts(truth, open_intents=(first,))
    order = facts(loan("0.80", held="1", coin="BTC"), policy())
    decisions = decide(pool_account(pool, order, wallet={"BTC": "1"}))
    assert sum((item.ceiling for item in decisions if item.acts), D(0)) <= D("0.1")


# Freshness and changes, coin by coin


def judged(
    shown: Truth, before: Truth, amount: str = "20000", prices: dict[str, Decimal] | None = None
) -> Freshness:
    """What is shown after an add of USDT that was confirmed."""
    sent = pool_intent(before.shown(), "USDT", amount)
    row = pool_row(before.shown(), before.plus("USDT", D(amount)).shown(), sent)
    return judge(shown.shown(), sent, (row,), prices or dict(shown.prices))


def test_old_collateral_of_the_coin_that_was_added_is_not_fresh() -> None:
    before = at("0.80", HELD)
    assert not judged(before, before).fresh
    assert judged(before.plus("USDT", D(20000)), before).fresh


def test_new_collateral_beside_an_old_ltv_is_not_fresh() -> None:
    before = at("0.80", HELD)
    now = before.plus("USDT", D(20000))
    sent = pool_intent(before.shown(), "USDT", "20000")
    row = pool_row(before.shown(), now.shown(), sent)
    odd = replace(now.shown(), ltv=before.shown().ltv)
    found = judge(odd, sent, (row,), PRICES)
    assert (found.fresh, found.collateral_is_new) == (False, True)


def test_a_change_of_another_coin_leaves_the_added_one_fresh() -> None:
    """Somebody took ETH out at the same time: the pool's LTV moves with every coin in it."""
    before = at("0.80", HELD)
    assert judged(before.plus("USDT", D(20000)).plus("ETH", D("-2")), before).fresh


def test_prices_that_fell_since_are_borne_out_by_the_coins_that_are_priced() -> None:
    before = at("0.80", HELD)
    fallen = {**PRICES, "BTC": D(40000), "ETH": D(2000)}
    now = replace(before.plus("USDT", D(20000)), prices=fallen)
    assert judged(now, before, prices=fallen).fresh
    assert judged(now, before, prices={"USDT": D(1)}).fresh  # the others count for what is shown
    assert not judged(replace(before, prices=fallen), before, prices=fallen).fresh


def test_a_debt_without_a_market_does_not_blind_the_look_at_prices() -> None:
    truth = at("0.70", HELD)
    shown = truth.shown()
    odd = replace(shown, debts=(replace(shown.debts[0], coin="EURQ"),))
    assert composition_of(odd).implied_ltvs("BTC", PRICES) == pytest.approx([D("0.7"), D("0.7")])
    assert composition_of(shown).implied_ltvs("USDT", {"USDT": D(1)}) == pytest.approx([D("0.7")])
    assert (
        composition_of(shown).implied_ltvs("BTC", {"USDT": D(1)}) == []
    )  # what BTC count for now is not known
    assert composition_of(shown).implied_ltvs("BTC", PRICES | {"BTC": D(0)}) == []
    assert composition_of(shown).implied_ltvs("BTC", None) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [({"USDT": "500"}, "500"), ({"USDT": "470"}, "470"), ({"ETH": "-1"}, "0"), ({}, "0")],
)
def test_an_unexplained_change_is_reckoned_in_the_intents_own_coin(
    change: dict[str, str], expected: str
) -> None:
    before = at("0.80", {**HELD, "USDT": "1000"})
    now = before
    for coin, coins in change.items():
        now = now.plus(coin, D(coins))
    sent = replace(pool_intent(before.shown(), "USDT", "500"), state=State.UNKNOWN, adjust_id=None)
    assert unexplained_change(sent, (), now.shown()) == D(expected)


def test_a_coin_that_is_new_to_the_pool_has_changed_by_all_of_it() -> None:
    before = at("0.80", HELD)
    sent = replace(pool_intent(before.shown(), "USDC", "500"), state=State.UNKNOWN, adjust_id=None)
    assert unexplained_change(sent, (), before.plus("USDC", D(500)).shown()) == 500
    without = replace(before.shown(), collateral=before.shown().collateral[:2])
    assert unexplained_change(sent, (), without) == 0
    assert sent.observed_at_ms == START


def test_a_pool_has_an_urgency_like_every_loan() -> None:
    order = facts(loan("0.80"), policy())
    for ltv, first in (("0.77", False), ("0.79", True)):
        decisions = decide(pool_account(order, pool_facts(at(ltv, HELD)), wallet=RICH))
        assert (decisions[0].loan.key == POOL) is first
    assert cents(D("0.005")) == D("0.01")
