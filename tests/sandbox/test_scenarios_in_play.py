"""The shipped scenarios can be survived, and without a guard they can't. Time is simulated."""

from decimal import ROUND_UP, Decimal
from pathlib import Path

import pytest

from ltv_guard.sandbox import Exchange, load_scenario
from ltv_guard.sandbox.accounts import Loan
from ltv_guard.sandbox.clock import Clock
from ltv_guard.sandbox.orders import Order
from ltv_guard.sandbox.records import Transfer

D = Decimal
SCENARIOS = Path(__file__).parents[2] / "config" / "scenarios"
GUARDED, TWIN = "100001", "100002"
CRASHES = [
    "flash_crash",
    "slow_decline",
    "lost_answers",
    "unreliable",
    "pool_crash",
    "mixed_crash",
    "empty_funding",
    "no_collateral_left",
]


class NaiveGuard:
    """Looks every half second and moves once a second: adds at 0.75 to 0.65, releases at 0.50 to 0.58."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.account = exchange.ledger.accounts[GUARDED]

    def act(self) -> None:
        loans = [loan for loan in self.account.loans() if loan.status == "open"]
        prices = self.exchange.moment().prices
        for loan in sorted(loans, key=lambda loan: loan.ltv(prices), reverse=True):
            ltv = loan.ltv(prices)
            if ltv >= D("0.75"):
                self.rescue(loan)
                return
            if ltv <= D("0.50") and isinstance(loan, Order):
                self.exchange.user_adjust(
                    GUARDED,
                    loan.loan_id,
                    "reduce",
                    (loan.collateral * (1 - ltv / D("0.58"))).quantize(D("1e-8")),
                )
                return

    def rescue(self, loan: Loan) -> None:
        """Add what is missing, from the first wallet that has something, or else repay."""
        moment = self.exchange.look()
        missing_usd = loan.debt_usd(moment.prices) / D("0.65") - loan.debt_usd(moment.prices) / loan.ltv(
            moment.prices
        )
        for coin in ["BTC"] if isinstance(loan, Order) else ["USDT", "BTC", "ETH"]:
            wanted = (missing_usd / moment.prices[coin] / D("0.85")).quantize(D("1e-4"), ROUND_UP)
            if not self.account.balance(coin) and self.account.balance(coin, "UNIFIED"):
                self.move(coin, min(wanted, self.account.balance(coin, "UNIFIED")))
            if self.account.balance(coin):
                amount = min(wanted, self.account.balance(coin))
                self.exchange.user_adjust(GUARDED, loan.loan_id, "add", amount, coin)
                return
        owed = loan.debts()[0][0]
        wanted = loan.debt_usd(moment.prices) * (1 - D("0.65") / loan.ltv(moment.prices))
        wanted = min(wanted, self.account.balance(owed)).quantize(D("0.01"), ROUND_UP)
        self.exchange.user_repay(GUARDED, loan.loan_id, wanted, owed)

    def move(self, coin: str, amount: Decimal) -> None:
        moment = self.exchange.moment()
        wanted = Transfer(
            transfer_id=str(moment.real_s),
            user=GUARDED,
            coin=coin,
            amount=amount,
            source="UNIFIED",
            destination="FUND",
            by="app",
            time_ms=moment.time_ms,
            made_s=moment.real_s,
            visible_from_s=moment.real_s,
        )
        self.exchange.ledger.transfer(wanted, moment)


def play(name: str) -> Exchange:
    """Run a scenario from its first second to its last, without waiting."""
    now = [0.0]
    clock = Clock(wall=lambda: now[0], monotonic=lambda: now[0])
    exchange = Exchange(load_scenario(SCENARIOS / f"{name}.yaml"), clock)
    exchange.start()
    guard = NaiveGuard(exchange)
    while now[0] * float(exchange.market.plan.speed_up) < exchange.market.length_s:
        now[0] += 1
        exchange.look()
        guard.act()
    return exchange


@pytest.mark.parametrize("name", CRASHES)
def test_a_crash_takes_the_twin_and_not_the_guarded_loans(name: str) -> None:
    exchange = play(name)
    lost = {one.user for one in exchange.ledger.liquidations}
    assert lost == {TWIN}
    peaks = [loan.peak_ltv for loan in exchange.ledger.accounts[GUARDED].loans()]
    assert max(peak for peak in peaks if peak) < D("0.85")


def test_the_flash_crash_asks_for_several_additions_and_then_for_releases() -> None:
    effects = play("flash_crash").ledger.effects
    assert [row.direction for row in effects].count("add") >= 3
    assert [row.direction for row in effects].count("reduce") >= 1


def test_a_recovery_lets_collateral_go() -> None:
    exchange = play("recovery")
    assert exchange.ledger.liquidations == []
    assert {row.direction for row in exchange.ledger.effects} == {"reduce"}


def test_a_calm_day_asks_for_nothing() -> None:
    exchange = play("calm")
    assert (exchange.ledger.effects, exchange.ledger.liquidations) == ([], [])


def test_the_pools_begin_at_sixty_percent() -> None:
    for name in ("pool_crash", "mixed_crash"):
        exchange = Exchange(load_scenario(SCENARIOS / f"{name}.yaml"))
        pool = exchange.ledger.accounts[GUARDED].pool
        assert pool
        assert pool.ltv(exchange.moment().prices).quantize(D("0.01")) == D("0.60")
