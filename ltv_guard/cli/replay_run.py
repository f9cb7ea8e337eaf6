"""A replay as it was asked for: what it comes to, and the questions beside it; a table or JSON out."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

import click

from ltv_guard.adapters.settings import ConfigError
from ltv_guard.cli import replay_table
from ltv_guard.cli.exit_status import DONE
from ltv_guard.cli.replay_asked import Asked
from ltv_guard.cli.replay_inputs import candles_of, case_of, inputs_of
from ltv_guard.cli.replay_progress import Progress
from ltv_guard.cli.replay_stress import stress_tree, stressed
from ltv_guard.log.escaping import as_json
from ltv_guard.replay.baselines import baselines
from ltv_guard.replay.candle_path import CandlePath, candle_path
from ltv_guard.replay.frontier import frontier
from ltv_guard.replay.least_wallet import least_wallet
from ltv_guard.replay.one_replay import Case, played, played_unguarded
from ltv_guard.replay.replay_account import ReplayAccount
from ltv_guard.replay.replay_answers import baselines_tree, comparison_tree, frontier_tree, survival_tree
from ltv_guard.replay.replay_report import Outcome, Tree, amounts, as_tree
from ltv_guard.replay.survival import survival

__all__ = ["Asked", "replay"]


def replay(asked: Asked) -> int:
    """Returns the exit status. Raises ConfigError for what can't be replayed."""
    live = None
    if asked.loans is None:  # what speaks to the exchange is not for whoever has a file
        live = import_module("ltv_guard.cli.replay_live").live_start(asked)
    case = case_of(asked, asked.config, live)
    _check(asked, case)
    other = None if asked.compare is None else case_of(asked, asked.compare, live)
    every = candles_of(asked, sorted({*case.coins, *(case if other is None else other).coins}))
    path, progress = candle_path(every, worst_first=asked.worst_first), Progress()
    unguarded = _unguarded(asked, case, path)
    case = stressed(asked, case, path, progress.of("ban: start"))
    outcome = Outcome(guarded=played(case, path), unguarded=unguarded, path=path)
    tree = as_tree(outcome, inputs_of(asked, case, every, path, live) | stress_tree(asked, case.stress))
    tree["baselines"] = baselines_tree(baselines(case, path, outcome.guarded, outcome.unguarded))
    if other is not None:
        tree["compare"] = _comparison(replace(other, stress=case.stress), outcome, str(asked.compare))
    tree |= _answers(asked, case, path, progress)
    progress.end()
    if asked.html is not None:
        page = import_module("ltv_guard.replay.replay_page").page  # not for whoever wants no charts
        asked.html.write_text(page(outcome, tree), encoding="utf-8")
    if asked.in_json:
        click.echo(as_json(tree, indent=2))
    else:
        replay_table.print_report(tree)
    return DONE


def _unguarded(asked: Asked, case: Case, path: CandlePath) -> ReplayAccount:
    """Raises ConfigError, which names the file of a loan that can't begin."""
    try:
        return played_unguarded(case, path)
    except ConfigError as error:
        raise ConfigError(f"{asked.loans}: {error}" if asked.loans is not None else str(error)) from None


def _check(asked: Asked, case: Case) -> None:
    if (asked.survival or asked.frontier) and not any(case.wallet.values()):
        raise ConfigError("--survival and --frontier try parts of a wallet: say with --wallet what there is")
    if asked.html is not None and not asked.html.absolute().parent.is_dir():
        raise ConfigError(f"--html {asked.html}: there is no such folder")


def _comparison(other: Case, outcome: Outcome, policy: str) -> Tree:
    compared = replace(outcome, guarded=played(other, outcome.path))
    return comparison_tree(as_tree(compared, {}), policy)


def _answers(asked: Asked, case: Case, path: CandlePath, progress: Progress) -> dict[str, Any]:
    """What takes many replays, each where it was asked for."""
    found: dict[str, Any] = {}
    if asked.least_wallet:
        least = least_wallet(case, path, progress.tries("least wallet"))
        found["least_wallet"] = None if least is None else amounts(least)
    if asked.survival:
        found["survival"] = survival_tree(survival(case, path, progress.of("survival: start"), asked.starts))
    if asked.frontier:
        found["frontier"] = frontier_tree(frontier(case, path, progress.of("frontier: point")))
    return found
