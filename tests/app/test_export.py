"""`export --csv` prints the journal's adjustments, of it alone: no exchange, no daemon, no key is needed."""

from __future__ import annotations

import csv
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from core_builders import intent
from e2e_world import NEEDY, ORDER, World, ran, scenario_of

from ltv_guard.cli.export import COLUMNS, as_text

if TYPE_CHECKING:
    from conftest import OpenWorld

NEW_YEAR_MS = 1_767_225_600_000  # 2026-01-01


async def exported(world: World, *options: str) -> list[dict[str, str]]:
    status, said = await ran("export", "--csv", *options, "-c", world.config_file)
    assert (status, said.errors) == (0, [])
    return list(csv.DictReader(said.lines))


async def test_what_was_done_is_exported_oldest_first_without_exchange_or_key(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        world.fault("close_before", endpoint="adjust")
        async with world.guarded():
            await world.until_settled_at_target()
        asked = len(world.exchange.requests)
        world.configure({"accounts": {"main": {"api_key_file": "gone"}}})
        first, second = await exported(world)
        (row,) = world.effects()
        assert len(world.exchange.requests) == asked
        newest, oldest = await world.intents()
        assert (first["state"], second["state"]) == ("absent", "confirmed")
        assert first["time"] < second["time"]
        assert (second["amount"], second["adjust_id"]) == (format(row.amount, "f"), str(row.adjust_id))
        assert (second["account"], second["loan"], second["coin"]) == ("main", ORDER, "BTC")
        assert (first["intent_id"], second["intent_id"]) == (oldest.intent_id, newest.intent_id)
        assert (second["usd_value"], second["fee"]) == ("", "")
        assert await exported(world, "--until", "2020-01-01") == []
        assert len(await exported(world, "--since", "2020-01-01T00:00:00+01:00")) == 2


async def test_what_is_no_time_is_refused(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        status, said = await ran("export", "--csv", "--since", "yesterday", "-c", world.config_file)
        assert (status, "such as 2026-01-01" in said.output) == (2, True)


def cells(**changes: object) -> dict[str, str]:
    made = intent(created_at_ms=NEW_YEAR_MS, **changes)  # type: ignore[arg-type]
    (row,) = csv.DictReader(as_text([made]).splitlines())
    return row


def test_a_line_holds_what_the_journal_knows() -> None:
    row = cells(amount=Decimal("1E+3"), coin="USDT")

    assert tuple(row) == COLUMNS
    assert row["time"] == "2026-01-01T00:00:00.000Z"
    assert (row["amount"], row["usd_value"]) == ("1000", "1000")


@pytest.mark.parametrize("written", ['=HYPERLINK("x")', "+1", "-1", "@x"])
def test_what_others_wrote_is_no_formula(written: str) -> None:
    assert cells(loan_id=written)["loan"] == f"'{written}"


def test_a_loan_of_another_ones_choosing_stays_on_its_line() -> None:
    assert cells(loan_id='a\n",b')["loan"] == 'a\\u000a",b'
