"""Loans of a replay that are read from the exchange, where no file names any."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

from ltv_guard.adapters import settings
from ltv_guard.adapters.settings import ConfigError
from ltv_guard.cli.replay_asked import Asked, LiveStart, account_name
from ltv_guard.log.utc import iso
from ltv_guard.replay.live_loans import specs_of, why_left_out
from ltv_guard.replay.loan_spec import LoanSpec
from ltv_guard.replay.replay_report import amounts, plain
from ltv_guard.service.loans_now import LoansNow, loans_now


def live_start(asked: Asked) -> LiveStart:
    """Reads loans and wallet of the account. Raises ConfigError; GuardError where they can't be read."""
    if asked.config is None:
        raise ConfigError(
            "there are no loans: name a file of them with --loans (docs/replay.md has an example), or with "
            "-c the configuration of an account whose loans are read from the exchange"
        )
    loaded = settings.load(asked.config)
    name = account_name(asked, asked.config, loaded.accounts)
    now = asyncio.run(loans_now(loaded, name))
    loans = specs_of(now.loans, now.prices)
    if not loans:
        raise ConfigError(f"the account {name} has no loan that can be replayed{_why(now)}")
    wallet = {coin: amount for coin, amount in sorted(now.wallet.items()) if amount > 0}
    return LiveStart(loans=loans, wallet=wallet, said=_said(now, name, loans))


def _said(now: LoansNow, name: str, loans: list[LoanSpec]) -> dict[str, Any]:
    return {
        "loans": f"of the account {name}, as they were at {iso(now.read_at_ms)}",
        "live_loans": [
            {
                "loan_id": loan.key.loan_id,
                "collateral": amounts(loan.collateral),
                "owes_in": sorted(loan.debts),
                "start_ltv": plain(loan.start_ltv or Decimal(0)),
            }
            for loan in loans
        ],
        "left_out": _left_out(now),
    }


def _left_out(now: LoansNow) -> dict[str, str]:
    aside = {item.key.loan_id: item.why for item in now.set_aside}
    own = {loan.key.loan_id: why_left_out(loan, now.prices) for loan in now.loans}
    return aside | {name: why for name, why in own.items() if why is not None}


def _why(now: LoansNow) -> str:
    return "".join(f"; {name}: {why}" for name, why in _left_out(now).items())
