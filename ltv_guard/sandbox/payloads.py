"""The exchange's payloads: exact books in, the documented strings and numbers out. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from .accounts import Account
from .market import Prices
from .orders import Order
from .pool import Pool
from .records import Adjustment, Direction, Repayment, Transfer
from .refusals import LEGACY
from .scenario import ApiKey, Scenario

Payload = dict[str, Any]
NO_COINS: Mapping[str, str] = {}
CENTS = Decimal("0.01")
LEGACY_LTV, POOL_LTV = Decimal("0.0001"), Decimal("0.000001")
VIP_LEVELS = ("VIP0", "VIP1", "VIP2", "VIP3", "VIP4", "VIP5", "PRO1", "PRO2", "PRO3")


def plain(number: Decimal) -> str:
    """Write a number without exponent and without idle zeros."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def rounded(number: Decimal, step: Decimal) -> str:
    if not number.is_finite():
        return "9999"
    return format(number.quantize(step, ROUND_HALF_UP), "f")


def quoted_ltv(ltv: Decimal, product: str) -> str:
    """Round as the product does: four decimals for an order, six for a pool."""
    return rounded(ltv, LEGACY_LTV if product == LEGACY else POOL_LTV)


def order_row(order: Order, prices: Prices) -> Payload:
    return {
        "collateralAmount": plain(order.collateral),
        "collateralCurrency": order.collateral_coin,
        "currentLTV": quoted_ltv(order.ltv(prices), LEGACY),
        "expirationTime": "" if order.expires_ms is None else str(order.expires_ms),
        "hourlyInterestRate": plain(order.hourly_rate),
        "loanCurrency": order.loan_coin,
        "loanTerm": order.term,
        "orderId": order.loan_id,
        "residualInterest": plain(order.interest),
        "residualPenaltyInterest": plain(order.penalty),
        "totalDebt": plain(order.debt),
    }


def position(
    pool: Pool | None, prices: Prices, col_res: str, coin_col_res: Mapping[str, str] = NO_COINS
) -> Payload:
    """Give the pool; an account without one has empty lists and zeros."""
    if pool is None or pool.status != "open":
        empty = {"ltv": "", "totalCollateral": "0", "totalDebt": "0", "totalSupply": "0"}
        return {"borrowList": [], "collateralList": [], "supplyList": [], **empty, "colRes": col_res}
    return {
        "borrowList": [_debt_row(pool, coin, prices) for coin in {**pool.flexible, **pool.fixed}],
        "collateralList": [
            {
                "currency": coin,
                "amount": plain(amount),
                "amountUSD": rounded(pool.counted_usd(coin, prices), CENTS),
                **({"colRes": coin_col_res[coin]} if coin in coin_col_res else {}),
            }
            for coin, amount in pool.collateral.items()
        ],
        "ltv": quoted_ltv(pool.ltv(prices), pool.product),
        "supplyList": [
            {"currency": coin, "amount": plain(amount), "amountUSD": rounded(amount * prices[coin], CENTS)}
            for coin, amount in pool.supply.items()
        ],
        "totalCollateral": rounded(pool.collateral_usd(prices), CENTS),
        "totalDebt": rounded(pool.debt_usd(prices), CENTS),
        "totalSupply": rounded(
            sum((amount * prices[coin] for coin, amount in pool.supply.items()), Decimal(0)), CENTS
        ),
        "colRes": col_res,
    }


def _debt_row(pool: Pool, coin: str, prices: Prices) -> Payload:
    flexible, fixed = pool.flexible.get(coin, Decimal(0)), pool.fixed.get(coin, Decimal(0))
    return {
        "loanCurrency": coin,
        "flexibleTotalDebt": plain(flexible),
        "flexibleTotalDebtUSD": rounded(flexible * prices[coin], CENTS),
        "fixedTotalDebt": plain(fixed),
        "fixedTotalDebtUSD": rounded(fixed * prices[coin], CENTS),
        "flexibleHourlyInterestRate": plain(pool.hourly_rate),
    }


def adjustment_row(row: Adjustment, codes: Mapping[Direction, str]) -> Payload:
    """Give a row of the history; `codes` are the directions' on the wire."""
    shared = {
        "preLTV": quoted_ltv(row.ltv_before, row.product),
        "afterLTV": quoted_ltv(row.ltv_after, row.product),
        "amount": plain(row.amount),
        "collateralCurrency": row.coin,
        "direction": int(codes[row.direction]),
    }
    if row.product == LEGACY:
        ids = {"adjustId": str(row.adjust_id), "adjustTime": str(row.time_ms), "orderId": row.loan_id}
        return {**ids, **shared}
    return {"adjustId": row.adjust_id, "adjustTime": row.time_ms, **shared, "status": row.status}


def repayment_row(row: Repayment) -> Payload:
    shared = {
        "loanCurrency": row.coin,
        "repayAmount": plain(row.amount),
        "repayId": str(row.repay_id),
        "repayStatus": row.status,
        "repayType": row.kind,
    }
    if row.product != LEGACY:
        return {**shared, "repayTime": row.time_ms}
    return {
        **shared,
        "collateralCurrency": row.collateral_coin,
        "collateralReturn": plain(row.collateral_returned),
        "loanTerm": row.term,
        "orderId": row.loan_id,
        "repayTime": str(row.time_ms),
    }


def wallet(account: Account, name: str, coins: list[str]) -> Payload:
    held = account.wallets[name]
    return {
        "accountType": name,
        "memberId": account.member_id,
        "balance": [
            {
                "coin": coin,
                "transferBalance": plain(held.get(coin, Decimal(0))),
                "walletBalance": plain(held.get(coin, Decimal(0))),
                "bonus": "",
            }
            for coin in coins or sorted(held)
        ],
    }


def transfer(row: Transfer) -> Payload:
    return {"transferId": row.transfer_id, "status": row.status}


def transfer_row(row: Transfer) -> Payload:
    return {
        "transferId": f"selfTransfer_{row.transfer_id}",
        "coin": row.coin,
        "amount": plain(row.amount),
        "fromAccountType": row.source,
        "toAccountType": row.destination,
        "timestamp": str(row.time_ms),
        "status": row.status,
    }


def iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def key_information(key: ApiKey, now_ms: int, ends_ms: int | None) -> Payload:
    """Give what query-api tells of a key; one without an end shows a negative deadline and 1970."""
    days = -1 if ends_ms is None else (ends_ms - now_ms) // 86_400_000
    user_id = key.user_id or key.user
    groups = ("ContractTrade", "Spot", "Wallet", "Options", "Derivatives", "CopyTrading", "Exchange", "NFT")
    return {
        "id": "1",
        "note": "sandbox",
        "apiKey": key.key,
        "readOnly": int(key.read_only),
        "secret": "",
        "permissions": {group: key.permissions.get(group, []) for group in groups},
        "ips": key.ips or ["*"],
        "type": 1,
        "deadlineDay": days,
        "expiredAt": iso(ends_ms or 0),
        "unified": 0,
        "uta": 1,
        "userID": int(user_id) if user_id.isdigit() else user_id,
        "vipLevel": key.vip_level,
        "rsaPublicKey": key.rsa_public_key or "",
        "isMaster": True,
        "parentUid": "0",
    }


def legacy_terms(scenario: Scenario, vip_level: str | None, coin: str | None) -> Payload:
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
    """Give v5/crypto-loan-common/loanable-data: how fine amounts of debt may be, for each coin."""
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


def borrowed_row(order: Order) -> Payload:
    """Give a row of v5/crypto-loan/borrow-history: an order that has ended, 1 repaid or 2 liquidated."""
    return {
        "orderId": order.loan_id,
        "loanCurrency": order.loan_coin,
        "collateralCurrency": order.collateral_coin,
        "loanTerm": order.term,
        "status": 2 if order.status == "liquidated" else 1,
    }


def ticker(coin: str, prices: Prices) -> Payload:
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
