"""`ltv-guard replay`: what a policy would have done with these loans and this wallet, over these prices."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from ltv_guard.adapters.settings.errors import ConfigError
from ltv_guard.cli.exit_status import exits

FILE = click.Path(path_type=Path)


@click.command("replay")
@click.option(
    "--loans", type=FILE, help="The loans at the start: YAML, see docs/replay.md. Else those of the account."
)
@click.option("--wallet", default="", help="The Funding wallet at the start: BTC=1.5,USDT=5000.")
@click.option(
    "--prices",
    multiple=True,
    type=FILE,
    help="Candles: CSV, also gzip, or a folder of them; may be given several times.",
)
@click.option("--pair", help="The pair of the files, such as BTCUSDT, where their names do not say it.")
@click.option("--synthetic", help="A crash at random instead of files: fall=0.5,hours=36,seed=1.")
@click.option("-c", "--config", type=FILE, help="The YAML file whose policy is tried; else the default one.")
@click.option("--account", help="Whose policy of the configuration, and loans without --loans.")
@click.option("--start", help="From when on, UTC: 2020-03-12 or 2020-03-12T10:00.")
@click.option("--end", help="Until when.")
@click.option("--worst-first", is_flag=True, help="In each candle the low comes before the high.")
@click.option("--latency-s", default="1", show_default=True, help="From a decision to its effect.")
@click.option("--ban", help="The exchange shuts the guard out: 10m@worst, or 10m@2020-03-12T10:40.")
@click.option("--lost-answers", help="The share of adjustments whose answer is lost: 0.3.")
@click.option("--platform-limit", multiple=True, help="A coin of which the platform takes no more.")
@click.option("--index-lag-s", default="0", show_default=True, help="So late are prices shown to the guard.")
@click.option("--poll-s", help="The guard looks each so many seconds, without a stream of prices: 15.")
@click.option("--seed", default=0, show_default=True, help="Picks fingerprints of amounts, and lost answers.")
@click.option("--least-wallet", is_flag=True, help="Also the smallest wallet with which no loan is lost.")
@click.option("--survival", is_flag=True, help="Also from what share of start times the loans survive.")
@click.option(
    "--starts",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="From so many start times, evenly spaced; from each candle's where there are no more.",
)
@click.option("--frontier", is_flag=True, help="Also which triggers, targets and wallets do best.")
@click.option("--compare", type=FILE, help="Another YAML file: what its policy would have done instead.")
@click.option("--html", type=FILE, help="Also a report with charts: one file that needs no network.")
@click.option("--json", "in_json", is_flag=True, help="One JSON document instead of a table.")
@exits
def command(**asked: Any) -> int:  # noqa: ANN401 - the options above
    """What a policy would have done with your loans in a crash: of files, or made up.

    \b
    ltv-guard replay --loans loans.yaml --wallet BTC=1.5 --synthetic fall=0.5,hours=36,seed=1
    ltv-guard replay --loans loans.yaml --wallet BTC=1.5 --prices btcusdt_1h_2020-03.csv.gz -c config.yaml
    ltv-guard replay -c config.yaml --account main --prices btcusdt_1h_2020-03.csv.gz
    """  # noqa: D301 - click's mark for lines that stay as they are
    run = _imported("ltv_guard.cli.replay_run")
    if asked["html"] is not None:
        _imported("ltv_guard.replay.replay_page")
    status: int = run.replay(run.Asked(**asked))
    return status


def _imported(name: str) -> ModuleType:
    """The module, or one sentence that says what to install for it. Raises ConfigError."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in {"numpy", "bokeh"}:
            raise
        raise ConfigError(f"this needs {missing}: install it with pip install 'ltv-guard[replay]'") from None
