"""The payloads that no key is needed for: collateral terms and tickers. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from ltv_guard.sandbox.market import Prices
from ltv_guard.sandbox.payloads import Payload, plain
from ltv_guard.sandbox.scenario import Scenario

VIP_LEVELS = ("VIP0", "VIP1", "VIP2", "VIP3", "VIP4", "VIP5", "PRO1", "PRO2", "PRO3")


def legacy_terms(scenario: Scenario, vip_level: str | None, coin: str | None) -> Payload:
    """The terms of every level (v5/crypto-loan/collateral-coin), or of one; of every coin, or of one."""
    levels = dict.fromkeys([*VIP_LEVELS, *(key.vip_level for key in scenario.keys)])
    rows = [
        {
            "collateralAccuracy": terms.accuracy,
            "currency": name,
            "initialLTV": plain(terms.initial_ltv),
            "liquidationLTV": plain(terms.liquidation_ltv),
            "marginCallLTV": plain(terms.margin_call_ltv),
            "maxLimit": plain(terms.max_limit),
        }
        for name, terms in scenario.all_terms().items()
        if coin in (None, name)
    ]
    return {
        "vipCoinList": [{"vipLevel": level, "list": rows} for level in levels if vip_level in (None, level)]
    }


def pool_terms(scenario: Scenario, coin: str | None) -> Payload:
    """The tiers of every coin, or of one (v5/new-crypto-loan/collateral-coin)."""
    chosen = {name: terms for name, terms in scenario.all_terms().items() if coin in (None, name)}
    return {
        "collateralRatioConfigList": [
            {
                "currencies": name,
                "collateralRatioList": [
                    {
                        "collateralRatio": plain(tier.ratio),
                        "minValue": plain(tier.min),
                        "maxValue": "" if tier.max is None else plain(tier.max),
                    }
                    for tier in terms.tiers
                ],
            }
            for name, terms in chosen.items()
        ],
        "currencyLiquidationList": [
            {"currency": name, "liquidationOrder": terms.liquidation_order} for name, terms in chosen.items()
        ],
    }


def loanable(scenario: Scenario, coin: str | None) -> Payload:
    """How fine amounts of debt may be, for each coin (v5/crypto-loan-common/loanable-data)."""
    return {
        "list": [
            {
                "currency": name,
                "flexibleBorrowable": True,
                "fixedBorrowable": True,
                "flexibleBorrowingAccuracy": terms.debt_accuracy,
                "fixedBorrowingAccuracy": terms.debt_accuracy,
                "vipLevel": "VIP0",
            }
            for name, terms in scenario.all_terms().items()
            if coin in (None, name)
        ]
    }


def ticker(coin: str, prices: Prices) -> Payload:
    """A row of v5/market/tickers, category spot."""
    last = plain((prices[coin] / prices["USDT"]).quantize(Decimal("0.00000001"), ROUND_HALF_UP))
    return {
        "symbol": f"{coin}USDT",
        "bid1Price": last,
        "bid1Size": "1",
        "ask1Price": last,
        "ask1Size": "1",
        "lastPrice": last,
        "prevPrice24h": last,
        "price24hPcnt": "0",
        "highPrice24h": last,
        "lowPrice24h": last,
        "turnover24h": "0",
        "volume24h": "0",
        "usdIndexPrice": plain(prices[coin]),
    }
