"""What a replay was asked for: options and files in, values out."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ltv_guard.adapters import settings
from ltv_guard.adapters.settings import AccountSection, ConfigError, values
from ltv_guard.cli.replay_asked import MS, Asked, LiveStart, account_name, parsed
from ltv_guard.core.model.policy import Rulebook
from ltv_guard.log.utc import iso
from ltv_guard.replay.candle_path import CandlePath
from ltv_guard.replay.candles import Candles
from ltv_guard.replay.loan_spec import POOL_LINES
from ltv_guard.replay.loans_file import read_loans, time_ms
from ltv_guard.replay.one_replay import Case
from ltv_guard.replay.price_files import TimeSpan, candles_for
from ltv_guard.replay.replay_report import amounts
from ltv_guard.replay.synthetic import crash_of, synthetic
from ltv_guard.service.rules import rulebook_of


def case_of(asked: Asked, config: Path | None, live: LiveStart | None) -> Case:
    """What is replayed, with the policy of `config`. `live`: where no file has loans. Raises ConfigError."""
    account = _account(asked, config)
    terms = None if account is None else account.policy.pool_terms
    pool_lines = POOL_LINES
    if terms is not None:
        pool_lines = (min(POOL_LINES[0], terms.margin_call_ltv), terms.margin_call_ltv, terms.liquidation_ltv)
    if asked.seed < 0:
        raise ConfigError("--seed must be 0 or more")
    return Case(
        loans=read_loans(asked.loans, pool_lines) if asked.loans is not None else live.loans if live else [],
        wallet=live.wallet if live is not None and not asked.wallet else _wallet(asked.wallet),
        rulebook=Rulebook() if account is None else rulebook_of(account),
        latency_ms=int(parsed("--latency-s", asked.latency_s, values.duration) * MS),
        seed=asked.seed,
    )


def _account(asked: Asked, config: Path | None) -> AccountSection | None:
    """Whose policy is tried; None: the default one."""
    if config is None:
        if asked.account is not None:
            raise ConfigError("--account names an account of a configuration: name that with -c")
        return None
    accounts = settings.load_rules(config).accounts
    return accounts[account_name(asked, config, accounts)]


def _wallet(text: str) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for part in filter(None, (item.strip() for item in text.split(","))):
        name, given, amount = part.partition("=")
        if not given:
            raise ConfigError(f"--wallet {part} must be coins with amounts, such as BTC=1.5,USDT=5000")
        coin = parsed("--wallet", name, values.coin)
        if coin in found:
            raise ConfigError(f"--wallet names {coin} twice")
        found[coin] = parsed(f"--wallet {coin}", amount, values.amount)
    return found


def candles_of(asked: Asked, coins: Collection[str]) -> list[Candles]:
    """Of files, or made up. Raises ConfigError."""
    start, end = _time("--start", asked.start), _time("--end", asked.end)
    if asked.synthetic is not None:
        if asked.prices or asked.start or asked.end:
            raise ConfigError(
                "--synthetic makes up its own prices and times: leave out --prices, --start, --end"
            )
        found = synthetic(crash_of(asked.synthetic), coins)
    elif asked.prices:
        if start is not None and end is not None and start >= end:
            raise ConfigError("--start must be before --end")
        found = candles_for(coins, asked.prices, TimeSpan(start_ms=start, end_ms=end), asked.pair)
    else:
        raise ConfigError(
            "there are no prices: name files of candles with --prices (ltv-guard prices fetch BTC --from "
            "2025-10-01 --to 2025-10-20 gets some), or try --synthetic fall=0.5,hours=36,seed=1"
        )
    if not found:
        raise ConfigError("these loans are in dollars alone: no price moves them")
    return found


def _time(option: str, text: str | None) -> int | None:
    return None if text is None else parsed(option, text, time_ms)


def inputs_of(
    asked: Asked, case: Case, every: list[Candles], path: CandlePath, live: LiveStart | None
) -> dict[str, Any]:
    """What another person needs to get the same report."""
    return {
        **({"loans": str(asked.loans)} if live is None else live.said),
        "policy": "default" if asked.config is None else str(asked.config),
        "wallet": amounts(case.wallet),
        "prices": [
            {
                "coin": item.coin,
                "source": item.source,
                "sha256": item.sha256 or None,
                "candles": len(item.times),
                "step_s": item.step_ms // MS,
            }
            for item in every
        ],
        "start": iso(int(path.times[0])),
        "end": iso(path.ends_ms),
        "worst_first": asked.worst_first,
        "latency_s": asked.latency_s,
        "seed": asked.seed,
        "versions": {name: version(name) for name in ("ltv-guard", "numpy")},
    }
