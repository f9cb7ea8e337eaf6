"""A replay as it was asked for: what it comes to, and the questions beside it; a table or JSON out."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import click

from ltv_guard.adapters.settings import ConfigError
from ltv_guard.cli import replay_table
from ltv_guard.cli.exit_status import DONE
from ltv_guard.cli.replay_inputs import Asked, candles_of, case_of, inputs_of
from ltv_guard.log.escaping import as_json
from ltv_guard.replay.candle_path import CandlePath, candle_path
from ltv_guard.replay.frontier import frontier
from ltv_guard.replay.least_wallet import least_wallet
from ltv_guard.replay.one_replay import Case, played, played_unguarded
from ltv_guard.replay.replay_answers import comparison_tree, frontier_tree, survival_tree
from ltv_guard.replay.replay_report import Outcome, amounts, as_tree
from ltv_guard.replay.survival import survival

__all__ = ["Asked", "replay"]


def replay(asked: Asked) -> int:
    """Raises ConfigError for what can't be replayed."""
    case = case_of(asked, asked.config)
    if (asked.survival or asked.frontier) and not any(case.wallet.values()):
        raise ConfigError("--survival and --frontier try parts of a wallet: say with --wallet what there is")
    if asked.html is not None and not asked.html.absolute().parent.is_dir():
        raise ConfigError(f"--html {asked.html}: there is no such folder")
    other = None if asked.compare is None else case_of(asked, asked.compare)
    every = candles_of(asked, sorted({*case.coins, *(case if other is None else other).coins}))
    path = candle_path(every, worst_first=asked.worst_first)
    outcome = Outcome(guarded=played(case, path), unguarded=played_unguarded(case, path), path=path)
    tree = as_tree(outcome, inputs_of(asked, case, every, path))
    if other is not None:
        compared = Outcome(guarded=played(other, path), unguarded=outcome.unguarded, path=path)
        tree["compare"] = comparison_tree(as_tree(compared, {}), str(asked.compare))
    tree |= _answers(asked, case, path)
    if asked.html is not None:
        page = import_module("ltv_guard.replay.replay_page").page  # not for whoever wants no charts
        asked.html.write_text(page(outcome, tree), encoding="utf-8")
    if asked.in_json:
        click.echo(as_json(tree, indent=2))
    else:
        replay_table.print_report(tree)
    return DONE


def _answers(asked: Asked, case: Case, path: CandlePath) -> dict[str, Any]:
    """What takes many replays, each where it was asked for."""
    found: dict[str, Any] = {}
    if asked.least_wallet:
        least = least_wallet(case, path, lambda tries: _progress(f"least wallet: try {tries}"))
        found["least_wallet"] = None if least is None else amounts(least)
    if asked.survival:
        shares = survival(case, path, lambda at, of: _progress(f"survival: start {at} of {of}"))
        found["survival"] = survival_tree(shares)
    if asked.frontier:
        points = frontier(case, path, lambda at, of: _progress(f"frontier: {at} of {of}"))
        found["frontier"] = frontier_tree(points)
    _progress("")
    return found


def _progress(words: str) -> None:
    """On a terminal only: a line that is written over, and taken away at the end."""
    if sys.stderr.isatty():
        click.echo(f"\r{words:40}" + ("" if words else "\r"), nl=False, err=True)
