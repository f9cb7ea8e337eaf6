"""The books: every coin is somewhere, every effect is written down, every limit holds."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox_world import ORDER, at, books

from ltv_guard.sandbox.ledger import Ledger
from ltv_guard.sandbox.records import FAILED, PROCESSING, SUCCESS, Direction, Handling
from ltv_guard.sandbox.refusals import Refusal

D = Decimal


def coins_of(ledger: Ledger, coin: str) -> Decimal:
    return sum(
        (
            sum((wallet.get(coin, D(0)) for wallet in account.wallets.values()), D(0))
            + sum((loan.held(coin) for loan in account.loans()), D(0))
            for account in ledger.accounts.values()
        ),
        D(0),
    )


def test_an_addition_moves_coins_and_lowers_the_ltv() -> None:
    ledger, order, _ = books()
    row = ledger.adjust(order, "BTC", "add", D("0.2"), at())
    assert (order.collateral, ledger.accounts["1"].balance("BTC")) == (D("1.2"), D("1.8"))
    assert (row.ltv_before, row.ltv_after, row.maximum) == (D("0.6"), D("0.5"), None)
    assert ledger.effects == [row]


def test_a_release_of_the_maximum_ends_at_the_initial_ltv_and_one_step_more_is_refused() -> None:
    ledger, order, _ = books()
    most = order.maximum_release("BTC", at().prices)
    assert most == D("0.25")
    with pytest.raises(Refusal) as refused:
        ledger.adjust(order, "BTC", "reduce", most + D("1e-8"), at())
    assert refused.value.code == 177013
    assert ledger.adjust(order, "BTC", "reduce", most, at()).ltv_after == D("0.8")


@pytest.mark.parametrize(
    ("loan_id", "coin", "direction", "amount", "code"),
    [
        (ORDER, "BTC", "add", "2.00000001", 177011),
        (ORDER, "BTC", "add", "0.000000001", 177004),
        (ORDER, "BTC", "add", "0", 177003),
        (ORDER, "BTC", "reduce", "0.3", 177013),
        ("pool", "BTC", "add", "2.00000001", 148012),
        ("pool", "BTC", "add", "0.000000001", 148003),
        ("pool", "BTC", "reduce", "0.9", 148009),
        ("pool", "DOGE", "add", "1", 148004),
    ],
)
def test_a_refused_adjustment_moves_nothing(
    loan_id: str, coin: str, direction: Direction, amount: str, code: int
) -> None:
    ledger, order, pool = books()
    with pytest.raises(Refusal) as refused:
        ledger.adjust(order if loan_id == ORDER else pool, coin, direction, D(amount), at())
    assert refused.value.code == code
    assert (ledger.effects, order.collateral, ledger.accounts["1"].balance("BTC")) == ([], 1, 2)


def test_the_platform_can_close_to_a_coin_whatever_it_shows_of_all_of_them() -> None:
    ledger, order, pool = books(closed_collateral=["BTC"], col_res="2")
    for loan, code in ((order, 177015), (pool, 148048)):
        with pytest.raises(Refusal) as refused:
            ledger.adjust(loan, "BTC", "add", D("0.1"), at())
        assert refused.value.code == code
    ledger.deposit("1", "ETH", D(1), at())
    assert ledger.adjust(pool, "ETH", "add", D("0.1"), at()).status == SUCCESS
    assert ledger.adjust(pool, "BTC", "reduce", D("0.1"), at()).status == SUCCESS


def test_a_loan_at_its_liquidation_ltv_is_sold_and_what_is_left_comes_back() -> None:
    ledger, order, _ = books()
    ledger.look(at(btc="31578.95"))
    assert order.status == "open"
    ledger.look(at(btc="31578.94"))
    lost = next(one for one in ledger.liquidations if one.loan_id == ORDER)
    assert order.status == "liquidated"
    assert lost.ltv >= D("0.95")
    assert lost.cost_usd == 600
    assert lost.sold["BTC"] * D("31578.94") >= 30600
    assert ledger.accounts["1"].balance("BTC") == 2 + 1 - lost.sold["BTC"] + sold_pool_returns(ledger)
    assert [row.kind for row in ledger.repayments if row.loan_id == ORDER] == [2]


def sold_pool_returns(ledger: Ledger) -> Decimal:
    return sum((one.returned.get("BTC", D(0)) for one in ledger.liquidations if one.loan_id == "pool"), D(0))


def test_extremes_of_the_ltv_are_kept() -> None:
    ledger, order, _ = books()
    for price in ("50000", "40000", "60000"):
        ledger.look(at(btc=price))
    assert (order.peak_ltv, order.trough_ltv) == (D("0.75"), D("0.5"))


def test_interest_grows_by_the_market_hour_and_is_paid_before_principal() -> None:
    ledger, order, _ = books()
    order.hourly_rate = D("0.0001")
    ledger.look(at(hours=2))
    assert order.interest == 6
    ledger.repay(order, "USDT", D(10), at())
    assert (order.interest, order.debt) == (0, 29996)


def test_an_order_paid_in_full_returns_its_collateral() -> None:
    ledger, order, _ = books()
    row = ledger.repay(order, "USDT", D(40000), at())
    account = ledger.accounts["1"]
    assert (row.amount, row.collateral_returned, order.status) == (30000, 1, "repaid")
    assert (account.balance("USDT"), account.balance("BTC")) == (20000, 3)


def test_an_overdue_loan_pays_penalty_and_is_sold_after_its_grace() -> None:
    ledger, order, _ = books()
    order.expires_ms, order.hourly_rate = 0, D("0.0001")
    ledger.look(at("172800", hours=1))
    assert (order.interest, order.penalty, order.status) == (3, 6, "open")
    ledger.look(at("172801", hours=1))
    assert (order.status, ledger.liquidations[0].reason) == ("liquidated", "overdue")


def test_part_of_a_loan_can_be_sold_without_a_row_in_the_adjustment_history() -> None:
    ledger, order, _ = books()
    row = ledger.partial_liquidation(order, "BTC", D("0.1"), at())
    assert (order.collateral, order.debt, row.kind, ledger.adjustments) == (D("0.9"), 25000, 2, [])


def test_a_pools_repayment_reaches_its_flexible_debt_only() -> None:
    ledger, _, pool = books()
    pool.flexible, pool.fixed = {"USDT": D(100)}, {"USDT": D(1000)}
    assert ledger.repay(pool, "USDT", D(500), at()).amount == 100
    with pytest.raises(Refusal) as refused:
        ledger.repay(pool, "USDT", D(500), at())
    assert (refused.value.code, pool.debts()) == (148033, [("USDT", D(1000))])


def test_part_of_a_pool_can_be_sold_for_its_fixed_debt() -> None:
    ledger, _, pool = books()
    pool.flexible, pool.fixed = {}, {"USDT": D(22500)}
    ledger.partial_liquidation(pool, "BTC", D("0.1"), at())
    assert (pool.held("BTC"), pool.fixed) == (D("0.9"), {"USDT": D(17500)})


def test_a_pools_adjustment_can_take_its_time() -> None:
    ledger, _, pool = books()
    row = ledger.adjust(pool, "BTC", "add", D("0.5"), at("0"), handling=Handling(processing_s=D(3)))
    ledger.look(at("2.9"))
    assert (row.status, pool.held("BTC"), ledger.effects) == (PROCESSING, 1, [])
    ledger.look(at("3"))
    assert (row.status, pool.held("BTC"), row.applied_ms) == (SUCCESS, D("1.5"), 3000)


def test_a_slow_adjustment_fails_where_the_coins_have_gone_meanwhile() -> None:
    ledger, order, pool = books()
    row = ledger.adjust(pool, "BTC", "add", D("1.5"), at("0"), handling=Handling(processing_s=D(3)))
    ledger.adjust(order, "BTC", "add", D(1), at("1"))
    ledger.look(at("3"))
    assert (row.status, row.applied_ms, pool.held("BTC")) == (FAILED, None, 1)


def test_a_pools_tiers_count_each_share_by_its_own_ratio() -> None:
    _, _, pool = books()
    pool.move("BTC", D("0.5"))
    assert pool.collateral_usd(at().prices) == 50000 * D("0.9") + 25000 * D("0.8")


def test_the_state_of_a_moment_ago_can_be_seen_again() -> None:
    ledger, order, _ = books()
    ledger.adjust(order, "BTC", "add", D("0.2"), at("10"))
    assert ledger.as_of("1", D("9.9")).orders[ORDER].collateral == 1
    assert ledger.as_of("1", D("10")).orders[ORDER].collateral == D("1.2")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["order", "pool"]),
        st.sampled_from(["add", "reduce"]),
        st.decimals("0.00000001", "1.5", places=8),
        st.decimals(33000, 90000, places=2),
    ),
    max_size=12,
)


@given(STEPS)
def test_coins_are_neither_made_nor_lost_and_no_release_passes_the_initial_ltv(
    steps: list[tuple[str, Any, Decimal, Decimal]],
) -> None:
    ledger, order, pool = books()
    before = coins_of(ledger, "BTC")
    for which, direction, amount, price in steps:
        moment = at(btc=str(price))
        loan = order if which == "order" else pool
        try:
            row = ledger.adjust(loan, "BTC", direction, amount, moment)
        except Refusal:
            continue
        assert direction == "add" or row.ltv_after <= D("0.8")
        assert min(ledger.accounts["1"].wallets["FUND"].values()) >= 0
    assert coins_of(ledger, "BTC") == before
    assert len({row.adjust_id for row in ledger.effects}) == len(ledger.effects)


@given(
    debt=st.decimals(1, 200000, places=2),
    held=st.decimals("0.001", 6, places=8),
    price=st.decimals(1000, 150000, places=2),
    unit=st.sampled_from(["usd", "coins"]),
)
def test_a_pools_maximum_is_the_most_that_may_leave(
    debt: Decimal, held: Decimal, price: Decimal, unit: str
) -> None:
    edge = 60000 if unit == "usd" else 1
    tiers = [{"ratio": "0.9", "max": edge}, {"ratio": "0.7", "min": edge, "max": 3 * edge}]
    ledger, _, pool = books(coins={"BTC": {"tiers": tiers, "tier_unit": unit}})
    pool.flexible, pool.collateral = {"USDT": debt}, {"BTC": held}
    moment = at(btc=str(price))
    most = pool.maximum_release("BTC", moment.prices)
    assert 0 <= most <= held
    if most:
        ledger.adjust(pool, "BTC", "reduce", most, moment)
        assert pool.ltv(moment.prices) <= D("0.8") + D("1e-20")
    if pool.held("BTC") > D("1e-7"):
        pool.move("BTC", D("-1e-7"))
        assert pool.ltv(moment.prices) > D("0.8")
