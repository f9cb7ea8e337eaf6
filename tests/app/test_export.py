"""`export --csv` prints the journal's adjustments, of it alone: no exchange, no daemon, no key is needed."""

from __future__ import annotations

import csv
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from core_builders import intent
from e2e_world import NEEDY, ORDER, World, ran, scenario_of

from ltv_guard.adapters.journal import open_journal
from ltv_guard.cli.export import COLUMNS, as_text
from ltv_guard.core.model.samples import ChartSample

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


MINUTE_MS = 60_000


def noted(*minutes_and_prices: tuple[float, str | None], coin: str = "BTC") -> list[ChartSample]:
    return [
        ChartSample(
            at_ms=NEW_YEAR_MS + int(minutes * MINUTE_MS),
            ltvs={},
            prices={} if price is None else {coin: Decimal(price)},
        )
        for minutes, price in minutes_and_prices
    ]


@pytest.mark.parametrize(
    ("samples", "worth"),
    [
        (noted((-1, "50000"), (0.4, "60000.5"), (1.5, "70000")), "15000.12"),
        (noted((-0.5, "50000"), (0.4, None)), "12500.00"),
        (noted((-2, "50000")), "12500.00"),
        (noted((-2.1, "50000"), (2.1, "50000")), ""),
        (noted((0, "3000"), coin="ETH"), ""),
        (noted((0, "0")), ""),
        ([], ""),
    ],
)
def test_a_coin_is_worth_what_was_noted_nearest_to_it_within_two_minutes(
    samples: list[ChartSample], worth: str
) -> None:
    made = intent(created_at_ms=NEW_YEAR_MS, coin="BTC", amount=Decimal("0.25"))
    (row,) = csv.DictReader(as_text([made], {made.owner: samples}).splitlines())
    assert (row["usd_value"], row["fee"]) == (worth, "")


async def test_prices_that_the_journal_holds_are_found(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        async with world.guarded():
            await world.until_settled_at_target()
        (made,) = await world.intents()
        journal = await open_journal(f"sqlite:///{world.folder / 'journal.db'}")
        try:
            sample = ChartSample(at_ms=made.created_at_ms, ltvs={}, prices={"BTC": Decimal(50000)})
            await journal.samples.keep(made.owner, sample)
        finally:
            await journal.close()
        (row,) = await exported(world)
        assert Decimal(row["usd_value"]) == (made.amount * 50000).quantize(Decimal("0.01"))


@pytest.mark.parametrize("written", ['=HYPERLINK("x")', "+1", "-1", "@x"])
def test_what_others_wrote_is_no_formula(written: str) -> None:
    assert cells(loan_id=written)["loan"] == f"'{written}"


def test_a_loan_of_another_ones_choosing_stays_on_its_line() -> None:
    assert cells(loan_id='a\n",b')["loan"] == 'a\\u000a",b'
