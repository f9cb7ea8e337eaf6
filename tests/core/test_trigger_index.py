"""Who reaches a trigger as prices move, held against reckoning every LTV anew; and who is near one."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from core_builders import D, loan
from hypothesis import given
from hypothesis import strategies as st

from ltv_guard.core.model.loans import Collateral, Debt, Loan, LoanKey, Product, Totals
from ltv_guard.core.model.tiers import Tier
from ltv_guard.core.watch.nearness import HELD_MS, Nearness
from ltv_guard.core.watch.told_prices import APART_MS, REMEMBERED_MS, PricesThen, ToldPrices
from ltv_guard.core.watch.trigger_index import TriggerIndex
from ltv_guard.core.watch.watched import Watched

Prices = Mapping[str, Decimal]
START = {"USDT": D(1), "BTC": D(50000), "ETH": D(2500), "USDC": D("0.9998")}
COUNTS = D("0.9")


def order(number: int, coin: str, against: str, held: Decimal, owed: Decimal, prices: Prices) -> Loan:
    return Loan(
        key=LoanKey(Product.LEGACY, str(number)),
        ltv=owed * prices[against] / (held * prices[coin]),
        collateral=(Collateral(coin=coin, amount=held, accuracy=8),),
        debts=(Debt(coin=against, amount=owed),),
        margin_call_ltv=D("0.87"),
        liquidation_ltv=D("0.95"),
    )


def pool(held: Mapping[str, Decimal], owed: Mapping[str, Decimal], prices: Prices) -> Loan:
    value = {coin: amount * prices[coin] * COUNTS for coin, amount in held.items()}
    totals = Totals(
        debt_usd=sum((amount * prices[coin] for coin, amount in owed.items()), D(0)),
        collateral_usd=sum(value.values(), D(0)),
    )
    return Loan(
        key=LoanKey(Product.CRYPTO_LOAN, "pool"),
        ltv=totals.debt_usd / totals.collateral_usd,
        collateral=tuple(
            Collateral(
                coin=coin,
                amount=amount,
                accuracy=8,
                value_usd=value[coin],
                tiers=(Tier(ratio=COUNTS, lower=D(0), upper=D("Infinity")),),
            )
            for coin, amount in held.items()
        ),
        debts=tuple(Debt(coin=coin, amount=amount) for coin, amount in owed.items()),
        margin_call_ltv=D("0.85"),
        liquidation_ltv=D("0.92"),
        totals=totals,
    )


def ltv_at(item: Loan, prices: Prices) -> Decimal:
    """By the plainest arithmetic, apart from the code under test."""
    counts = D(1) if item.totals is None else COUNTS
    owed = sum((debt.amount * prices[debt.coin] for debt in item.debts), D(0))
    return owed / sum((held.amount * prices[held.coin] * counts for held in item.collateral), D(0))


ltvs = st.decimals("0.40", "0.74", places=3)
triggers = st.sampled_from([D("0.75"), D("0.70"), D("0.80")])
AT_START = PricesThen(START)
DEARER = PricesThen({**START, "BTC": D(53000)})
CHEAPER = PricesThen({**START, "ETH": D(2350), "USDC": D("0.98")})
read_at = st.sampled_from([AT_START, DEARER, CHEAPER])
coins = st.sampled_from([("BTC", "USDT"), ("ETH", "USDT"), ("ETH", "BTC"), ("BTC", "USDC"), ("BTC", "ETH")])


@st.composite
def watched_loans(draw: st.DrawFn) -> list[Watched]:
    found = []
    for number, (pair, ltv, trigger, told) in enumerate(
        draw(st.lists(st.tuples(coins, ltvs, triggers, read_at), min_size=1, max_size=8))
    ):
        read = told.prices
        held = D(1) / read[pair[0]] * 50_000
        owed = held * read[pair[0]] * min(ltv, trigger - D("0.01")) / read[pair[1]]
        found.append(Watched(order(number, *pair, held, owed, read), trigger, told))
    if draw(st.booleans()):
        value = 50_000 * COUNTS + 25_000 * COUNTS
        share = draw(ltvs) * value
        owed = {"USDT": share} if draw(st.booleans()) else {"USDT": share / 2, "ETH": share / 2 / 2500}
        found.append(Watched(pool({"BTC": D(1), "ETH": D(10)}, owed, START), D("0.75"), AT_START))
    return found


steps = st.lists(
    st.tuples(st.sampled_from(["BTC", "ETH", "USDC"]), st.decimals("0.85", "1.15", places=3)),
    min_size=1,
    max_size=30,
)


@given(watched_loans(), steps)
def test_it_tells_of_exactly_those_that_reckoning_anew_finds(
    watched: list[Watched], steps: Sequence[tuple[str, Decimal]]
) -> None:
    """Who crossed between the prices of its own page and the first that it is asked with is told as well."""
    index, prices = TriggerIndex(watched), dict(START)
    above = {item.loan.key: ltv_at(item.loan, item.told.prices) >= item.trigger for item in watched}
    for coin, factor in [("", D(1)), *steps]:
        prices |= {name: price * factor for name, price in prices.items() if name == coin}
        told = index.crossed(prices, [coin] if coin else index.coins)
        now = {item.loan.key: ltv_at(item.loan, prices) >= item.trigger for item in watched}
        assert told == {key for key in now if now[key] and not above[key]}
        above = now


@given(watched_loans(), steps)
def test_the_gap_is_that_of_the_nearest_loan(
    watched: list[Watched], steps: Sequence[tuple[str, Decimal]]
) -> None:
    index, prices = TriggerIndex(watched), dict(START)
    as_read = min(item.trigger / item.loan.ltv - 1 for item in watched)
    for coin, factor in steps:
        prices[coin] *= factor
        nearest = min(item.trigger / ltv_at(item.loan, prices) - 1 for item in watched)
        gap = index.gap(prices)
        assert gap is not None
        assert abs(gap - min(nearest, as_read)) < D("1e-20")


def test_prices_are_those_that_were_told_last_by_a_moment_also_where_they_came_close_together() -> None:
    told = ToldPrices()
    assert told.at(0).prices == {}
    for at_ms, price in ((1_000, 9), (1_010, 8), (1_040, 7), (1_060, 6), (1_200, 6), (2_000, 5)):
        told.saw({"BTC": D(price)}, at_ms)

    assert [told.at(at_ms).prices["BTC"] for at_ms in (1, 1_005, 1_059, 1_060, 1_999, 9_000)] == [
        7,
        7,
        7,
        6,
        6,
        5,
    ]
    assert told.at(1_500) is told.at(1_600)


def test_prices_of_long_ago_are_forgotten_but_for_those_that_hold_still() -> None:
    told = ToldPrices()
    for at_ms in range(0, 10 * REMEMBERED_MS, APART_MS // 5):
        told.saw({"BTC": D(at_ms)}, at_ms)
    told.saw({"BTC": D(1)}, 20 * REMEMBERED_MS)

    assert told.at(0).prices["BTC"] >= 9 * REMEMBERED_MS - APART_MS
    assert len(told._told) == 2
    assert told.at(20 * REMEMBERED_MS - 1).prices["BTC"] == 10 * REMEMBERED_MS - APART_MS // 5


def test_a_price_that_is_first_heard_of_after_the_read_tells_who_crossed_meanwhile() -> None:
    index = TriggerIndex([Watched(loan("0.60"), D("0.75"))])

    assert index.crossed({"USDT": D(1), "BTC": D(39000)}, ["BTC"]) == {loan().key}


def test_a_loan_that_its_own_amounts_put_above_its_trigger_is_told_of_by_its_ltv_as_read() -> None:
    """The exchange reckons with another price: it says 0.74 where the stream's price makes 0.76."""
    at = {"USDT": D(1), "BTC": D(30000) / D("0.76")}
    index = TriggerIndex([Watched(loan("0.74"), D("0.75"), PricesThen(at))])

    assert index.crossed({**at, "BTC": at["BTC"] * D("0.99")}, ["BTC"]) == frozenset()
    assert index.crossed({**at, "BTC": at["BTC"] * D("0.98")}, ["BTC"]) == {loan().key}


def test_a_lie_at_the_moment_of_the_read_moves_no_line_that_the_amounts_draw() -> None:
    lie, truth = {"USDT": D(1), "BTC": D(20000)}, {"USDT": D(1), "BTC": D(50000)}
    index = TriggerIndex([Watched(loan("0.60"), D("0.75"), PricesThen(lie))])
    index.crossed(truth, ["BTC"])

    assert index.crossed({**truth, "BTC": D(39000)}, ["BTC"]) == {loan().key}


def test_a_high_lie_makes_no_account_feel_safe() -> None:
    index = TriggerIndex([Watched(loan("0.74"), D("0.75"), AT_START)])
    gap = index.gap({**START, "BTC": D(10_000_000)})

    assert gap is not None
    assert gap < D("0.02")


def test_a_pool_that_was_read_beyond_its_trigger_crosses_it_once_it_has_been_below() -> None:
    beyond = pool({"BTC": D(1)}, {"USDT": D("0.8") * 50_000 * COUNTS}, START)
    index, dearer = TriggerIndex([Watched(beyond, D("0.75"), AT_START)]), {**START, "BTC": D(60000)}

    assert [index.crossed(prices, ["BTC"]) for prices in (START, dearer)] == [frozenset()] * 2
    assert index.crossed(START, ["BTC"]) == {beyond.key}


def test_loans_without_amounts_prices_or_coins_of_two_kinds_cost_nothing() -> None:
    unread = Loan(
        key=LoanKey(Product.LEGACY, "1"),
        ltv=D("0.6"),
        collateral=(Collateral(coin="BTC", amount=D(0), accuracy=8, unread=True),),
        debts=(Debt(coin="USDT", amount=D(0), unread=True),),
        margin_call_ltv=D("0.87"),
        liquidation_ltv=D("0.95"),
    )
    same = order(2, "BTC", "BTC", D(1), D("0.5"), START)
    index = TriggerIndex([Watched(unread, D("0.75")), Watched(same, D("0.75"))])

    assert index.crossed({"USDT": D(1), "BTC": D(1)}, ["BTC", "NONE"]) == frozenset()
    assert TriggerIndex().gap(START) is None


# Armed


def test_an_account_is_armed_near_its_trigger_and_for_a_while_after() -> None:
    nearness = Nearness()

    assert not nearness.is_armed(D("0.20"), 0)
    assert nearness.is_armed(D("0.029"), 1000)
    assert nearness.is_armed(D("0.05"), 1000 + HELD_MS - 1)
    assert not nearness.is_armed(D("0.05"), 1000 + HELD_MS)


def test_an_account_is_armed_from_afar_where_the_price_comes_fast() -> None:
    nearness = Nearness()
    gaps = [D("0.20") - D("0.004") * second for second in range(12)]
    armed = [nearness.is_armed(gap, second * 1000) for second, gap in enumerate(gaps)]

    assert not armed[0]
    assert armed[-1]


def test_a_slow_fall_far_away_and_a_price_that_wavers_arm_nobody() -> None:
    slow, wavering = Nearness(), Nearness()

    assert not any(slow.is_armed(D("0.20") - D("0.0005") * second, second * 1000) for second in range(60))
    assert not any(
        wavering.is_armed(D("0.05") + D("0.001") * (second % 2), second * 1000) for second in range(60)
    )


def test_without_loans_nothing_is_armed() -> None:
    assert not Nearness().is_armed(None, 0)
