"""The exchange's documented payloads, and everything that may be odd about one field of them."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

NOW_MS = 1_700_000_000_000
Json = Any

# Examples of the documentation. In each list the first row is spoiled, and the next stays as it is.
ORDER = {
    "collateralAmount": "0.0964687",
    "collateralCurrency": "BTC",
    "currentLTV": "0.4161",
    "expirationTime": "1731149999000",
    "hourlyInterestRate": "0.0000010633",
    "loanCurrency": "USDT",
    "loanTerm": "30",
    "orderId": "1793683005081680384",
    "residualInterest": "0.04016",
    "residualPenaltyInterest": "0",
    "totalDebt": "1888.005198",
}
ADJUSTMENT = {
    "adjustId": "1794318409405331968",
    "adjustTime": str(NOW_MS - 1000),
    "afterLTV": "0.7164",
    "amount": "0.001",
    "collateralCurrency": "BTC",
    "direction": 1,
    "orderId": "1794267532472646144",
    "preLTV": "0.6546",
}
POOL_ADJUSTMENT = {
    "adjustId": 27511,
    "adjustTime": NOW_MS - 1000,
    "preLTV": "0.524602",
    "afterLTV": "0.813743",
    "amount": "0.08",
    "collateralCurrency": "BTC",
    "direction": 1,
    "status": 1,
}
REPAYMENT = {
    "collateralCurrency": "BTC",
    "collateralReturn": "0",
    "loanCurrency": "USDT",
    "loanTerm": "30",
    "orderId": "1794267532472646144",
    "repayAmount": "200",
    "repayId": "1794271131730737664",
    "repayStatus": 1,
    "repayTime": str(NOW_MS - 1000),
    "repayType": "1",
}
POOL_REPAYMENT = {
    "loanCurrency": "BTC",
    "repayAmount": "0.007",
    "repayId": "1773",
    "repayStatus": 1,
    "repayTime": NOW_MS - 1000,
    "repayType": 1,
}
CONTRACT_REPAYMENT = {
    "details": [{"loanId": "1539", "repayAmount": "0.05"}],
    "loanCurrency": "ETH",
    "repayAmount": "0.05",
    "repayId": "1774",
    "repayStatus": 1,
    "repayTime": NOW_MS - 1000,
    "repayType": 1,
}
TRANSFER = {
    "transferId": "selfTransfer_cafd0b2f-1a0b-4a3c-9d59-2a4b0d1f4c11",
    "coin": "BTC",
    "amount": "0.1",
    "fromAccountType": "UNIFIED",
    "toAccountType": "FUND",
    "timestamp": str(NOW_MS - 1000),
    "status": "SUCCESS",
}
CONTRACT = {
    "annualRate": "0.022",
    "borrowCurrency": "ETH",
    "borrowTime": str(NOW_MS - 86_400_000),
    "interestPaid": "0.01",
    "loanId": "1539",
    "orderId": "13007",
    "repaymentTime": str(NOW_MS + 86_400_000),
    "repayType": "1",
    "residualPenaltyInterest": "0",
    "residualPrincipal": "0.1",
    "status": 1,
    "term": "7",
}
POSITION = {
    "borrowList": [
        {
            "loanCurrency": "BTC",
            "flexibleTotalDebt": "0.08800022",
            "flexibleTotalDebtUSD": "9355.37",
            "fixedTotalDebt": "0",
            "fixedTotalDebtUSD": "0",
            "flexibleHourlyInterestRate": "0.0000001361462",
        },
        {
            "loanCurrency": "ETH",
            "flexibleTotalDebt": "0",
            "flexibleTotalDebtUSD": "0",
            "fixedTotalDebt": "0.1",
            "fixedTotalDebtUSD": "282.8",
            "flexibleHourlyInterestRate": "0.00000188498892",
        },
    ],
    "collateralList": [
        {"currency": "ETH", "amount": "2", "amountUSD": "4524.81"},
        {"currency": "BTC", "amount": "0.12", "amountUSD": "9930.11"},
        {"currency": "USDT", "amount": "4002.12", "amountUSD": "3201.69"},
        {"currency": "USDC", "amount": "1000", "amountUSD": "724.8"},
    ],
    "ltv": "0.524344",
    "supplyList": [{"currency": "USDT", "amount": "800.13041095890410959", "amountUSD": "800.13"}],
    "totalCollateral": "18381.41",
    "totalDebt": "9638.17",
    "totalSupply": "800.13",
    "colRes": "0",
}
WALLET_ROW = {"coin": "ETH", "transferBalance": "0.5", "walletBalance": "0.7", "bonus": ""}
WALLET = {"accountType": "FUND", "memberId": "1", "balance": [WALLET_ROW, WALLET_ROW | {"coin": "BTC"}]}
KEY = {
    "id": "13770661",
    "note": "a key",
    "apiKey": "XXXXXX",
    "readOnly": 0,
    "secret": "",
    "permissions": {"Spot": ["SpotTrade"], "Wallet": ["AccountTransfer"], "Options": []},
    "ips": ["203.0.113.7"],
    "type": 1,
    "deadlineDay": 83,
    "expiredAt": "2026-05-15T03:21:05Z",
    "createdAt": "2022-10-16T02:24:40Z",
    "uta": 1,
    "userID": 24617703,
    "vipLevel": "No VIP",
    "isMaster": True,
}
TICKER = {"symbol": "ETHUSDT", "lastPrice": "1500.5", "usdIndexPrice": "1500.4", "volume24h": "1"}
TICKERS = {"category": "spot", "list": [TICKER, TICKER | {"symbol": "BTCUSDT", "usdIndexPrice": "38000"}]}
TERM = {
    "currency": "ETH",
    "collateralAccuracy": 8,
    "initialLTV": "0.8",
    "marginCallLTV": "0.87",
    "liquidationLTV": "0.95",
    "maxLimit": "32000",
}
TERMS = {"vipCoinList": [{"vipLevel": "VIP0", "list": [TERM, TERM | {"currency": "BTC"}]}]}
GROUP = {
    "currencies": "ETH,ATOM",
    "collateralRatioList": [
        {"collateralRatio": "0.8", "minValue": "0", "maxValue": "10000"},
        {"collateralRatio": "0.7", "minValue": "10000", "maxValue": "20000"},
    ],
}
TIERS = {
    "collateralRatioConfigList": [GROUP, GROUP | {"currencies": "BTC,USDT"}],
    "currencyLiquidationList": [{"currency": "BTC", "liquidationOrder": 1}],
}
TIME = {"timeSecond": "1700000000", "timeNano": "1700000000123456789"}


def listed(row: Mapping[str, Json], **other: object) -> Json:
    """A page with the row, and another one behind it that is told apart by `other`."""
    return {"list": [dict(row), {**row, **other}], "nextPageCursor": ""}


GONE = object()


@dataclass(frozen=True, slots=True)
class Mutation:
    """What becomes of one field: `path` leads there from the result."""

    kind: str
    path: tuple[str | int, ...]
    value: object = field(repr=False)

    def applied(self, result: Json) -> Json:
        spoiled = copy.deepcopy(result)
        *way, last = self.path
        node = spoiled
        for step in way:
            node = node[step]
        if self.value is GONE:
            del node[last]
        else:
            node[last] = self.value
        return spoiled


def wrong(value: object) -> Iterator[tuple[str, object]]:
    """Kinds of odd values in place of `value`."""
    text = str(value)
    yield "absent", GONE
    yield "null", None
    yield "empty", ""
    yield "blank", " "
    yield "blank", f" {text} "
    for other in ([], {}, [text], {"a": text}, True, False, Decimal("1.5"), 7):
        yield "wrong type", other
    for other in ("NaN", "nan", "-NaN", Decimal("NaN"), "sNaN"):
        yield "not a number", other
    for other in ("Infinity", "-Infinity", Decimal("Infinity")):
        yield "infinite", other
    for other in ("1e999999", "1E+400", "9" * 400, "1e30", Decimal("1e30"), int("9" * 60), "x" * 5_000):
        yield "huge", other
    for other in ("1e-999999", "0.000000000000000000000000000000000000000000001"):
        yield "tiny", other
    for other in ("-1", -1, f"-{text}", "-0"):
        yield "negative", other
    yield "zero", "0"
    yield "other case", text.swapcase()
    yield "other case", text.title()
    for other in ("\u0661\u0662.\u0665", "\u0412\u0422\u0421", "\u6bd4\u7279", "1\u00a0000,5", "1_0", "0x1"):
        yield "foreign letters", other
    for other in ("[/ops/42]", "<b>1</b>", "\x1b[2J", "\u202e1", "\x00", "\ud800", "1\n2", '"}', "{{1}}"):
        yield "markup", other


def mutations(result: Json, path: tuple[str | int, ...] = ()) -> Iterator[Mutation]:
    """Every field of every object, of the first row of each list only; the lists themselves as well."""
    if isinstance(result, Mapping):
        for name, value in result.items():
            for kind, other in wrong(value):
                yield Mutation(kind, (*path, name), other)
            if isinstance(name, str) and name.swapcase() != name:
                yield Mutation("other case of its name", (*path, name), GONE)
            yield from mutations(value, (*path, name))
    elif isinstance(result, list) and result:
        for kind, other in wrong(result[0]):
            if other is not GONE:
                yield Mutation(kind, (*path, 0), other)
        yield from mutations(result[0], (*path, 0))


def combined(
    found: Sequence[Mutation], result: Json, count: int, seed: int
) -> Iterator[tuple[Json, list[Mutation]]]:
    """So many payloads with two or three of the mutations at once, chosen by `seed`."""
    chance = random.Random(seed)
    while count:
        chosen = chance.sample(found, chance.choice((2, 3)))
        spoiled = result
        try:
            for item in chosen:
                spoiled = item.applied(spoiled)
        except (KeyError, IndexError, TypeError):
            continue  # one has taken the field of the other away
        count -= 1
        yield spoiled, chosen


def table(counts: Counter[tuple[str, str]]) -> str:
    """How many mutated answers of each kind there were, by what was read."""
    kinds = sorted({kind for _, kind in counts})
    lines = [f"{'':24}" + "".join(f"{kind[:15]:>16}" for kind in kinds) + f"{'all':>8}"]
    for reader in sorted({name for name, _ in counts}):
        row = [counts[reader, kind] for kind in kinds]
        lines.append(f"{reader:24}" + "".join(f"{number:16}" for number in row) + f"{sum(row):8}")
    return "\n".join([*lines, f"{'mutations':24}{counts.total():8}"])
