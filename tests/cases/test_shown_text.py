"""Text that others wrote is shown as it is: no markup, no control of the terminal, no turn of direction."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
import structlog
from e2e_shown import words
from e2e_world import NEEDY, command, ran, scenario_of

from ltv_guard.cli.terminal import console
from ltv_guard.log import format as logs
from ltv_guard.log.escaping import as_json, clean

if TYPE_CHECKING:
    from conftest import OpenWorld

MARKUP = "see runbook [/ops/42] [bold]:smile: [link=x]"
STEERING = "\x1b[2J\x1b]0;owned\x07\u202egnihton\u2066\x9b31m\r\x7f\u200b"
RAW = [letter for letter in STEERING if not (letter.isascii() and letter.isprintable())]


def is_harmless(printed: str) -> bool:
    return not any(letter in printed for letter in RAW)


@pytest.mark.case(10, 48)
async def test_the_reason_of_a_pause_is_shown_as_it_is_and_steers_nothing(open_a_world: OpenWorld) -> None:
    roomy = scenario_of(NEEDY["add"], limits={"reads_per_s": 50})  # for a daemon and two commands
    async with open_a_world(roomy) as world, world.guarded():
        await world.until(lambda: bool(world.heard("cycle_finished")))
        reason = f"{MARKUP} {STEERING}"
        status, pause = await ran("pause", "--reason", reason, "-c", world.config_file)
        assert status == 0, pause.output
        for verb in ("check", "plan"):
            status, run = await ran(verb, "-c", world.config_file, environ={"COLUMNS": "400"})
            assert status == 0, run.output
            assert MARKUP in words(run.lines), run.output
            assert "1b[2J" in words(run.lines)
            assert is_harmless(run.output)
        status, again = await ran("resume", "--account", "main", "-c", world.config_file)
        assert MARKUP in again.output
        assert is_harmless(again.output)


@pytest.mark.slow
@pytest.mark.case(48)
async def test_what_the_exchange_says_is_escaped_in_the_journal_in_check_and_in_errors(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        world.fault("ret_code", endpoint="adjust", code=148012, message=f"{STEERING} {MARKUP}")
        async with world.guarded():
            await world.until(lambda: bool(world.heard("adjustment_rejected")))
        world.fault("ret_code", endpoint="orders", code=10005, message=f"{STEERING} {MARKUP}", times=None)
        for verb, status in (("journal", 0), ("check", 1), ("plan", 1)):
            found, run = await ran(verb, "-c", world.config_file, environ={"COLUMNS": "400"})
            assert found == status, run.output
            assert MARKUP in words(run.lines), run.output
            assert "1b[2J" in words(run.lines)
            assert is_harmless(run.output)
        for command in (("journal", "--json"), ("plan", "--json")):
            _, run = await ran(*command, "-c", world.config_file)
            assert is_harmless(run.output)


@pytest.mark.case(48)
async def test_the_log_of_a_person_is_as_harmless_as_that_of_a_machine(open_a_world: OpenWorld) -> None:
    for style in ("console", "json"):
        async with open_a_world(scenario_of(NEEDY["add"]), config={"logging": {"format": style}}) as world:
            world.fault("ret_code", endpoint="adjust", code=148012, message=f"{STEERING} {MARKUP}")
            _, once = await ran("run", "--once", "-c", world.config_file)
            assert MARKUP in once.output
            assert is_harmless(once.output)


@pytest.mark.case(35)
@pytest.mark.parametrize(("columns", "widest"), [(None, 100), ("72", 72)])
async def test_a_table_fits_columns_where_there_is_no_terminal(
    open_a_world: OpenWorld, columns: str | None, widest: int
) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        environ = {} if columns is None else {"COLUMNS": columns}
        status, plan = await ran("plan", "-c", world.config_file, environ=environ)
        assert status == 0, plan.output
        assert max(len(line.rstrip("\n")) for line in plan.lines) <= widest
        assert "order 1001" in plan.output


@pytest.mark.case(35)
@pytest.mark.parametrize(
    ("columns", "width"),
    [("140", 140), ("no", 100), ("0", 100), ("1", 20), ("9" * 5000, 100), ("-5", 100), ("²", 100)],
)
def test_columns_that_make_no_sense_make_no_table(
    monkeypatch: pytest.MonkeyPatch, columns: str, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert console().width == width


def test_clean_text_is_left_alone_and_the_rest_is_escaped() -> None:
    assert clean("Zürich \u2192 東京 1E-8 \\u001b") == "Zürich \u2192 東京 1E-8 \\u001b"
    assert clean("a\nb\tc") == "a\\u000ab\\u0009c"
    assert clean("\ud800\U000e0041") == "\\ud800\\U000e0041"
    assert as_json({"why": "\x7f\x1b\u202e"}) == '{"why": "\\u007f\\u001b\\u202e"}'


def test_a_number_within_a_mapping_is_logged_as_plain_text_like_any_other() -> None:
    stream = io.StringIO()
    logs.configure(style="json", stream=stream)
    try:
        structlog.get_logger().info(
            "cycle_finished", ltvs={"1001": Decimal("0.65")}, worst_ltv=Decimal("1E-8")
        )
    finally:
        structlog.reset_defaults()
    told = json.loads(stream.getvalue())
    assert (told["ltvs"], told["worst_ltv"]) == ({"1001": "0.65"}, "0.00000001")


async def test_a_stream_in_a_small_encoding_fails_no_command(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        small = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
        status, check = await ran("check", "-c", world.config_file, environ=small)
        assert status == 0, check.output
        assert "Traceback" not in check.output


async def test_plan_and_check_end_well_where_their_streams_are_closed(open_a_world: OpenWorld) -> None:
    closed = "import os, sys; os.close(1); sys.stdout = None; from ltv_guard.cli.main import main; main()"
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        for verb in ("plan", "journal"):
            async with command(verb, "-c", world.config_file, program=("-c", closed)) as running:
                assert await running.ends() == 0, running.output
            assert running.errors == []
