"""Random lives of a pool with fixed loans: the sandbox's ledger, what it shows, and what is decided on it.

Prices, coins and time move at random; each decision is carried out at once. Outside emergencies no coin that
is due soon is spent, what helps leaves the loan better and no deeper than its target, collateral is sold only
where no coin helps, and the exchange refuses none of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest
from core_builders import D
from core_pools import pool_account, pool_policy
from hypothesis import given, settings
from hypothesis import strategies as st

from ltv_guard.adapters.bybit.contract_wire import parse_contracts
from ltv_guard.adapters.bybit.oddities import Reading
from ltv_guard.adapters.bybit.pool_terms import PositionTerms, parse_tiers
from ltv_guard.adapters.bybit.pool_wire import parse_position
from ltv_guard.core.amounts.due import due_coins
from ltv_guard.core.decide.decide import decide
from ltv_guard.core.decide.decision import Decision, EpisodeChange
from ltv_guard.core.decide.facts import AccountFacts, LoanFacts
from ltv_guard.core.model.loans import Direction, Loan
from ltv_guard.core.model.policy import CollateralRepayRule, LoanPolicy
from ltv_guard.sandbox import parse_scenario, payloads, public_payloads
from ltv_guard.sandbox.contract_payloads import contract_row
from ltv_guard.sandbox.ledger import Ledger
from ltv_guard.sandbox.market import Moment
from ltv_guard.sandbox.pool import Pool
from ltv_guard.sandbox.repayments import RepaymentAsked

DAY_MS, HOUR_S, BEGAN_MS = 86_400_000, 3600, 1_700_000_000_000
EXAMPLES = 200
READINGS = D("0.02")  # tiers may be in USD or in coins: what is shown tells them apart to 2 %
POLICY: LoanPolicy = replace(
    pool_policy(["USDT", "BTC"], reduces=False, repays=True),
    repay_with_collateral=CollateralRepayRule(enabled=True, max_fee=D("0.01")),
)


def shares(least: int, most: int) -> st.SearchStrategy[Decimal]:
    return st.integers(least, most).map(lambda percent: D(percent) / 100)


CONTRACT = st.fixed_dictionaries(
    {
        "coin": st.just("USDT"),
        "principal": st.integers(100, 9000).map(str),
        "interest": st.integers(0, 90).map(str),
        "repay_type": st.sampled_from(["0", "1", "1", "2"]),
        "ends_in": st.integers(2, 90).map(lambda hours: f"{hours}h"),
        "annual_rate": st.sampled_from(["0", "0.1", "2"]),
    }
)
START = st.fixed_dictionaries(
    {
        "flexible": st.integers(12000, 32000),
        "contracts": st.lists(CONTRACT, min_size=1, max_size=3),
        "ratios": st.lists(st.integers(50, 95), min_size=2, max_size=2),
        "usdt": st.sampled_from([0, 1, 500, 3000, 9000, 20000]),
        "btc": st.sampled_from(["0", "0", "0.01", "0.5"]),
    }
)
STEPS = st.lists(
    st.fixed_dictionaries(
        {
            "btc": shares(90, 102),
            "eth": shares(90, 102),
            "hours": st.integers(0, 9),
            "deposit": st.sampled_from([0, 0, 0, 700, -700]),
        }
    ),
    min_size=5,
    max_size=30,
)


@dataclass
class RandomPool:
    """One life. `prices` in USD a coin."""

    start: dict[str, Any]
    prices: dict[str, Decimal] = field(
        default_factory=lambda: {"USDT": D(1), "USDC": D(1), "BTC": D(50000), "ETH": D(2500)}
    )
    hours: int = 0
    episode: bool = False

    def __post_init__(self) -> None:
        tiers = [D(ratio) / 100 for ratio in sorted(self.start["ratios"], reverse=True)]
        contracts = [item | {"loan_id": str(n)} for n, item in enumerate(self.start["contracts"], 1)]
        pool = {
            "flexible": {"USDT": self.start["flexible"]},
            "collateral": {"BTC": "1", "ETH": "4"},
            "contracts": contracts,
        }
        bounds = [{"ratio": tiers[0], "max": 20000}, {"ratio": tiers[1], "min": 20000}]
        self.scenario = parse_scenario(
            {
                "name": "random",
                "market": {
                    "coins": {coin: {"path": [[0, str(self.prices[coin])]]} for coin in ("BTC", "ETH")}
                },
                "coins": {"BTC": {"tiers": bounds}, "USDT": {"accuracy": 4, "conversion_fee": "0.01"}},
                "keys": [{"key": "k", "secret": "s", "user": "1"}],
                "users": {
                    "1": {"funding": {"USDT": self.start["usdt"], "BTC": self.start["btc"]}, "pool": pool}
                },
            }
        )
        self.ledger = Ledger(self.scenario, BEGAN_MS)
        self.account = self.ledger.accounts["1"]

    @property
    def pool(self) -> Pool:
        assert self.account.pool is not None
        return self.account.pool

    @property
    def now(self) -> Moment:
        seconds = D(self.hours * HOUR_S)
        return Moment(
            time_ms=BEGAN_MS + self.hours * HOUR_S * 1000,
            real_s=seconds,
            market_s=seconds,
            prices=dict(self.prices),
        )

    def move(self, step: dict[str, Any]) -> None:
        self.prices["BTC"] = (self.prices["BTC"] * step["btc"]).quantize(D("0.01"))
        self.prices["ETH"] = (self.prices["ETH"] * step["eth"]).quantize(D("0.01"))
        self.hours += step["hours"]
        if self.account.balance("USDT") + step["deposit"] >= 0:
            self.ledger.deposit("1", "USDT", D(step["deposit"]), self.now)
        self.ledger.look(self.now)

    def shown(self) -> Loan | None:
        terms = PositionTerms(
            tiers=parse_tiers(public_payloads.pool_terms(self.scenario, None)),
            accuracies={"USDT": 4},
            debt_accuracies={"USDT": 4},
            candidates=("USDT", "BTC"),
            margin_call_ltv=D("0.85"),
            liquidation_ltv=D("0.95"),
        )
        return parse_position(payloads.position(self.pool, self.prices, "0"), terms)

    def due(self, loan: Loan) -> dict[str, Decimal]:
        rows = [contract_row(item) for item in self.pool.contracts]
        listed = parse_contracts(rows, "USDT", Reading("contracts"))
        fixed = {debt.coin: debt.fixed for debt in loan.debts if debt.fixed > 0}
        return due_coins({"USDT": listed}, fixed, self.now.time_ms, DAY_MS)

    def facts(self, loan: Loan) -> tuple[LoanFacts, AccountFacts]:
        wallet = {coin: format(self.account.balance(coin), "f") for coin in ("USDT", "BTC", "ETH")}
        about = LoanFacts(loan=loan, policy=POLICY, episode_open=self.episode)
        found = pool_account(about, wallet=wallet, prices=self.prices, due=self.due(loan))
        return about, found

    def act(self, decision: Decision) -> None:
        if decision.episode is not None:
            self.episode = decision.episode is EpisodeChange.OPENS
        if decision.direction is Direction.ADD:
            self.ledger.adjust(self.pool, decision.coin or "", "add", decision.amount, self.now)
        elif decision.direction is Direction.REPAY:
            selling = () if decision.collateral_coin is None else (decision.collateral_coin,)
            coin, amount = decision.coin or "", decision.amount
            asked = RepaymentAsked(loan=self.pool, coin=coin, amount=amount, selling=selling)
            self.ledger.repay_as(asked, self.now)


@pytest.mark.slow
@settings(max_examples=EXAMPLES, deadline=None)
@given(start=START, steps=STEPS)
def test_what_is_due_is_kept_and_each_help_helps(start: dict[str, Any], steps: list[dict[str, Any]]) -> None:
    life = RandomPool(start)
    for step in steps:
        life.move(step)
        if life.pool.status != "open":
            return
        for _ in range(4):  # as many adjustments as follow one another
            loan = life.shown()
            if loan is None:
                return
            about, account = life.facts(loan)
            (decision,) = decide(account)
            assert not decision.defects
            if not decision.acts:
                life.act(decision)
                break
            before, wallet = life.pool.ltv(life.prices), dict(account.wallet or {})
            life.act(decision)  # a Refusal is a finding
            after = life.pool.ltv(life.prices)
            assert after < before
            assert after > about.urgency.limits.target - READINGS
            if decision.collateral_coin is None and not about.urgency.emergency:
                coin = decision.coin or ""
                assert life.account.balance(coin) >= min(wallet[coin], account.due.get(coin, D(0)))
            if decision.collateral_coin is not None:
                free = wallet["USDT"] - (0 if about.urgency.emergency else account.due.get("USDT", D(0)))
                assert free < D("0.02") * loan_value(loan)
                assert wallet["BTC"] * life.prices["BTC"] < D("0.02") * loan_value(loan)


def loan_value(loan: Loan) -> Decimal:
    assert loan.totals is not None
    return loan.totals.collateral_usd
