"""Loans as the exchange shows them now become loans at the start of a replay."""

from dataclasses import replace
from decimal import Decimal

from replay_cases import START, order, pool

from ltv_guard.core.model.loans import Loan
from ltv_guard.replay.live_loans import specs_of, why_left_out
from ltv_guard.replay.position import opened

D = Decimal
NOW = {"USDT": D(1), "USDC": D(1), "BTC": D(60_000), "ETH": D(3_000)}
THEN = {"USDT": D(1), "USDC": D(1), "BTC": D(8_000), "ETH": D(200)}


def shown(position_prices: dict[str, Decimal], **changes: object) -> Loan:
    return replace(opened(order(), START, position_prices).shown(position_prices), **changes)


def test_an_order_keeps_its_coins_and_its_ltv_at_the_prices_of_another_time() -> None:
    # 36,000 / 60,000 = 0.60; of 8,000 USD that is 4,800 USDT.
    (spec,) = specs_of([shown(NOW)], NOW)
    then = opened(spec, START, THEN)
    assert then.held == {"BTC": D(1)}
    assert then.owed == {"USDT": D(4_800)}
    assert (spec.margin_call_ltv, spec.liquidation_ltv) == (D("0.87"), D("0.95"))


def test_a_pool_owes_in_the_same_coins_by_the_same_shares() -> None:
    # Now 27,000 USDT and 3 ETH for 9,000: three quarters and one. With 10,000 USD of
    # collateral and 0.4 that is 3,000 USDT, and 1,000 USD are 5 ETH.
    loan = opened(pool(debts={"USDT": D(27_000), "ETH": D(3)}), START, NOW).shown(NOW)
    (spec,) = specs_of([loan], NOW)
    then = opened(spec, START, THEN)
    assert spec.start_ltv == D("0.4")
    assert then.owed == {"USDT": D(3_000), "ETH": D(5)}
    assert then.held == {"BTC": D(1), "ETH": D(10)}


def test_what_can_t_be_replayed_says_why() -> None:
    assert why_left_out(shown(NOW), NOW) is None
    assert why_left_out(shown(NOW, debts=()), NOW) == "it owes nothing"
    assert why_left_out(shown(NOW), {"BTC": D(1)}) == "the exchange has no price of USDT"
    gone = shown(NOW, ltv=D("0.96"))
    assert why_left_out(gone, NOW) == "its LTV of 0.96 is that of its liquidation"
    unread = shown(NOW, collateral=tuple(replace(item, unread=True) for item in shown(NOW).collateral))
    assert why_left_out(unread, NOW) == "some of its coins could not be read"
    assert specs_of([gone, unread], NOW) == []
