"""Journals that earlier versions wrote (tests/fixtures/journals), as a daemon finds them a minute later."""

from __future__ import annotations

import gzip
import json
import time
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from uuid import UUID

from e2e_world import A_POOL, AN_ORDER, USER, Tree, scenario_of
from journal_postgres import execute as execute_in_postgres
from journal_tables import execute

from ltv_guard.sandbox import Exchange
from ltv_guard.sandbox.market import Moment
from ltv_guard.sandbox.records import Origin, Transfer

FOLDER = Path(__file__).parent.parent / "fixtures" / "journals"
NIGHT: Tree = json.loads((FOLDER / "night.json").read_text())
REVISIONS = ["0001", "0002", "0003", "0005"]
TIMES = {
    "intents": ["observed_at_ms", "created_at_ms", "updated_at_ms", "signed_at_ms"],
    "episodes": ["opened_at_ms", "closed_at_ms"],
    "pauses": ["since_ms"],
    "runs": ["started_at_ms", "alive_at_ms"],
    "acknowledgements": ["at_ms"],
    "bans": ["until_ms", "set_at_ms"],
}
IN_NEED = "2003"  # the one loan that is above its trigger


def cases_of(revision: str) -> list[Tree]:
    """What the journal of that schema holds."""
    return [case for case in NIGHT["intents"] if case["since"] <= revision]


async def put_back(revision: str, url: str) -> int:
    """The journal at `url`, with all of its times moved on to now. Returns by how many ms."""
    if url.startswith("sqlite"):
        dump = gzip.decompress((FOLDER / f"v{revision}.db.gz").read_bytes())
        Path(url.removeprefix("sqlite:///")).write_bytes(dump)  # noqa: ASYNC240 - nothing else waits here
    else:
        await execute_in_postgres(url, (FOLDER / f"v{revision}.sql").read_text())
    later_ms = time.time_ns() // 1_000_000 - int(NIGHT["now_ms"])
    for table, columns in TIMES.items():
        changes = ", ".join(f"{column} = {column} + {later_ms}" for column in columns)
        await execute(url, f"UPDATE {table} SET {changes}")  # noqa: S608
    return later_ms


def scenario_before(revision: str) -> Tree:
    """The exchange as it was before any of it: user 1's loans as the intents found them."""
    mine = [case for case in cases_of(revision) if case["user_id"] == USER]
    orders = {case["loan_id"] for case in mine if case["product"] == AN_ORDER.name}
    scenario = scenario_of()
    user = scenario["users"][USER]
    user["orders"] = [
        {
            **deepcopy(AN_ORDER.borrowed["orders"][0]),
            "order_id": name,
            "debt": "40000" if name == IN_NEED else "30000",
        }
        for name in sorted(orders)
    ]
    user |= deepcopy(A_POOL.borrowed) | {"funding": {"BTC": "5", "USDT": "1000"}, "unified": {"USDC": "100"}}
    return scenario


def carry_out(exchange: Exchange, revision: str, later_ms: int) -> None:
    """What the exchange did of it, each at the time at which it was signed."""
    for case in cases_of(revision):
        if case["landed"]:
            _carry_out(exchange, case, NIGHT["now_ms"] - case["age_ms"] + 95 + later_ms)


def _carry_out(exchange: Exchange, case: Tree, signed_at_ms: int) -> None:
    now = exchange.moment()
    moment = exchange.moment(now.real_s - Decimal(now.time_ms - signed_at_ms) / 1000)
    if case["direction"] == "transfer":
        exchange.ledger.transfer(_transfer(case, moment, str(signed_at_ms)), moment)
        return
    loan = exchange.ledger.loan(USER, case["product"], case["loan_id"])
    origin = Origin(signed_at=str(signed_at_ms))
    coin, amount = case["coin"], Decimal(case["amount"])
    if case["direction"] == "repay":
        exchange.ledger.repay(loan, coin, amount, moment, origin=origin)
        return
    row = exchange.ledger.adjust(loan, coin, case["direction"], amount, moment, origin=origin)
    for _, changes in case["then"]:
        if "adjust_id" in changes:
            row.adjust_id = int(changes["adjust_id"])


def _transfer(case: Tree, moment: Moment, signed_at: str) -> Transfer:
    return Transfer(
        transfer_id=str(UUID(case["intent_id"])),
        user=USER,
        coin=case["coin"],
        amount=Decimal(case["amount"]),
        source="UNIFIED",
        destination="FUND",
        signed_at=signed_at,
        time_ms=moment.time_ms,
        made_s=moment.real_s,
        visible_from_s=moment.real_s,
    )
