"""Many accounts in one process: how many requests leave for one address, and what they cost at rest.

Every account has one order of its own. The budget is the default (`exchange.ip_budget_per_5s: 480`); the
exchange bans an address at 600 in 5 s. Requests are counted as they arrive, the most that any 5 s hold: from
the start of the process, while nothing happens, and once the prices of all accounts fall at once.
"""

from __future__ import annotations

import time
from pathlib import Path

import bench
import world
import yaml

REST_S = 60.0
TRIGGER = "0.80"


def command(borrowers: list[world.Borrower], url: str, folder: Path) -> list[str]:
    """One daemon for all of them: the project's defaults but for the server, live, without the stream."""
    (folder / "secret").write_text(world.SECRET)
    accounts: world.Tree = {}
    for borrower in borrowers:
        (folder / borrower.key).write_text(borrower.key)
        accounts[f"a{borrower.name}"] = {
            "products": [borrower.product],
            "api_key_file": str(folder / borrower.key),
            "api_secret_file": str(folder / "secret"),
        }
    config: world.Tree = {
        "mode": "live",
        "exchange": {"base_url": url},
        "schedule": world.without_stream(),
        "accounts": accounts,
        "journal": {"url": f"sqlite:///{folder / 'journal.db'}"},
        "logging": {"format": "json"},
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config))
    return [*world.PROGRAM, "run", "-c", str(file)]


def measure(accounts: int, rest_s: float, folder: Path, report: bench.Report) -> None:
    borrowers = [world.Borrower(name=str(number + 1), orders=1) for number in range(accounts)]
    with world.serving(borrowers, folder) as server:
        began = server.ask("rush", since=0)["now"]
        with world.running(command(borrowers, server.url, folder)) as program:
            if not program.wait_for("cycle_finished", 2 * accounts, within_s=180):
                raise SystemExit(f"{accounts} accounts were not looked at twice within three minutes")
            start = server.ask("rush", since=began)
            calm, cpu_s = time.monotonic(), program.cpu_s()
            time.sleep(rest_s)
            share = (program.cpu_s() - cpu_s) / (time.monotonic() - calm)
            rest = server.ask("rush", since=start["now"])
            for borrower in borrowers:
                server.ask("ltv", user=borrower.name, loan_id=borrower.loan_id, ltv=TRIGGER)
            fell = server.ask("rush", since=rest["now"])["now"]
            served = server.ask("served", since=fell, adjustments=accounts, within_s=300)
            storm = server.ask("rush", since=fell)
        report.add(
            accounts,
            start["most"],
            rest["most"],
            storm["most"],
            f"{share * 100:.1f} %",
            f"{served['first_s']:.1f}",
            f"{served['last_s']:.1f}",
            f"{program.count('exchange_banned')}",
        )


def main() -> None:
    """Measure each number of accounts in a process of its own."""
    asked = bench.options(
        __doc__,
        accounts={"nargs": "+", "type": int, "default": [100, 400]},
        rest_s={"type": float, "default": REST_S, "help": "how long it is watched at rest"},
    )
    if asked.smoke:
        asked.accounts, asked.rest_s = [min(asked.accounts)], 20
    columns = ["accounts", "start", "rest", "storm", "CPU at rest", "first add s", "last add s", "bans"]
    report = bench.Report("Most requests in any 5 s: at start, at rest, when all breach at once", columns)
    with bench.workplace(asked) as folder:
        for accounts in asked.accounts:
            own = folder / str(accounts)
            own.mkdir()
            measure(accounts, asked.rest_s, own, report)
    report.notes.append(
        "CPU at rest is of one core, at the default poll interval. Adds are told from the fall of prices; "
        "the exchange takes one a second from each user, so they could all come at once."
    )
    bench.publish([report], asked)


if __name__ == "__main__":
    main()
