"""Decoding a page of 100 orders: json as the project does it today, against orjson and msgspec.

What is not installed is left out, and said. A decoder that makes floats of JSON's numbers may not read
money: the orders' amounts are strings, so the column says what each makes of a number.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Callable
from decimal import Decimal
from types import ModuleType
from typing import Any

import bench

from ltv_guard.adapters.bybit.answers import open_envelope

ROWS, AMOUNTS = 100, ("collateralAmount", "currentLTV", "totalDebt", "residualInterest", "hourlyInterestRate")
TODAY = "json, as open_envelope does today"


def page() -> bytes:
    """As v5/crypto-loan/unpaid-loan-order documents it, and as json.dumps of a server writes it."""
    rows = [
        {
            "collateralAmount": f"0.{9646870 + number}",
            "collateralCurrency": "BTC",
            "currentLTV": f"0.{4161 + number}",
            "expirationTime": str(1731149999000 + number),
            "hourlyInterestRate": "0.0000010633",
            "loanCurrency": "USDT",
            "loanTerm": "30",
            "orderId": str(1793683005081680384 + number),
            "residualInterest": "0.04016",
            "residualPenaltyInterest": "0",
            "totalDebt": f"{1888 + number}.005198",
        }
        for number in range(ROWS)
    ]
    result = {"list": rows, "nextPageCursor": "1793683005081680483"}
    envelope = {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": 1728635422833}
    return json.dumps(envelope).encode()


def amounts_of(rows: list[dict[str, str]]) -> list[Decimal]:
    return [Decimal(row[name]) for row in rows for name in AMOUNTS]


def from_dicts(decode: Callable[[bytes], Any]) -> Callable[[bytes], list[Decimal]]:
    return lambda body: amounts_of(decode(body)["result"]["list"])


Decoder = tuple[Callable[[bytes], Any], Callable[[bytes], list[Decimal]], str]


def of_json() -> dict[str, Decoder]:
    def today(body: bytes) -> dict[str, Any]:
        return {"result": open_envelope(body).result}

    return {
        TODAY: (open_envelope, from_dicts(today), "Decimal"),
        "json.loads, no hooks": (json.loads, from_dicts(json.loads), "float"),
    }


def of_orjson(orjson: ModuleType) -> dict[str, Decoder]:
    return {"orjson": (orjson.loads, from_dicts(orjson.loads), "float")}


def of_msgspec(msgspec: Any) -> dict[str, Decoder]:  # noqa: ANN401 - it may not be installed
    """Dictionaries; structs of strings; structs whose amounts are Decimals at once."""
    names = json.loads(page())["result"]["list"][0]
    frame = {"retCode": int, "retMsg": str, "result": None}

    def decoder(amount: type) -> Any:  # noqa: ANN401 - as above
        fields = [(name, amount if name in AMOUNTS else str) for name in names]
        row = msgspec.defstruct("Row", fields)
        result = msgspec.defstruct("Result", [("list", list[row]), ("nextPageCursor", str)])  # type: ignore[valid-type]
        envelope = msgspec.defstruct("Envelope", [*list({**frame, "result": result}.items())])
        return msgspec.json.Decoder(envelope).decode

    def from_structs(decode: Callable[[bytes], Any]) -> Callable[[bytes], list[Decimal]]:
        return lambda body: [
            Decimal(getattr(row, name)) for row in decode(body).result.list for name in AMOUNTS
        ]

    dicts = msgspec.json.Decoder(float_hook=Decimal).decode
    texts, decimals = decoder(str), decoder(Decimal)
    return {
        "msgspec, dictionaries": (dicts, from_dicts(dicts), "Decimal"),
        "msgspec, structs of strings": (texts, from_structs(texts), "refused"),
        "msgspec, structs of Decimals": (decimals, from_structs(decimals), "Decimal"),
    }


def decoders() -> tuple[dict[str, Decoder], list[str]]:
    """All that can be had, and a sentence for each that can't."""
    found, missing = of_json(), []
    for name, build in {"orjson": of_orjson, "msgspec": of_msgspec}.items():
        try:
            found |= build(importlib.import_module(name))
        except ImportError:
            missing.append(f"{name} is not installed: left out (pip install {name}).")
    return found, missing


def median_s(
    work: dict[str, Callable[[bytes], Any]], body: bytes, rounds: int, calls: int
) -> dict[str, float]:
    """CPU seconds of one call, each the median of rounds in which all take turns."""
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, decode in work.items():
            began = time.process_time()
            for _ in range(calls):
                decode(body)
            taken[name].append((time.process_time() - began) / calls)
    return {name: bench.quantile(values, 0.5) for name, values in taken.items()}


def main() -> None:
    """Measure all that are installed in one run."""
    asked = bench.options(
        __doc__,
        rounds={"type": int, "default": 50, "help": "rounds in which all take turns"},
        calls={"type": int, "default": 100, "help": "pages a round"},
    )
    if asked.smoke:
        asked.rounds, asked.calls = 5, 20
    body = page()
    found, missing = decoders()
    read = {name: amounts(body) for name, (_, amounts, _) in found.items()}
    if any(values != read[TODAY] for values in read.values()):
        raise SystemExit("the decoders do not read the same amounts")
    plain = median_s({name: item[0] for name, item in found.items()}, body, asked.rounds, asked.calls)
    whole = median_s({name: item[1] for name, item in found.items()}, body, asked.rounds, asked.calls)
    columns = [
        "decoder",
        "us",
        "/ today",
        f"us, with {len(AMOUNTS)} Decimals a row",
        "/ today",
        "1.5 becomes",
    ]
    report = bench.Report(f"A page of {ROWS} orders, {len(body):,} bytes", columns, notes=missing)
    for name, (_, _, number) in found.items():
        ratios = (plain[name] / plain[TODAY], whole[name] / whole[TODAY])
        report.add(
            name,
            f"{plain[name] * 1e6:.0f}",
            f"{ratios[0]:.2f}",
            f"{whole[name] * 1e6:.0f}",
            f"{ratios[1]:.2f}",
            number,
        )
    bench.publish([report], asked)


if __name__ == "__main__":
    main()
