"""The installed command as its user meets it: exit statuses, what it prints, and how it ends."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e_shown import WIDE, findings
from e2e_world import (
    CALM,
    KEY,
    NEEDY,
    ORDER,
    SECRET,
    USER,
    command,
    ran,
    scenario_of,
    until,
)

if TYPE_CHECKING:
    from conftest import OpenWorld

# Up in no time: a release on the way up, to its target of that moment, would leave no reason for another one.
DOWN_AND_UP = [[0, "52000"], [1, "38000"], [4, "38000"], ["4.001", "100000"], [60, "100000"]]
JOURNAL_KEYS = {
    *("intent_id", "account", "product", "loan_id", "direction", "coin", "amount", "state"),
    *("collateral_coin", "contract_id"),
    *("adjust_id", "ret_code", "ltv_before", "ltv_after", "awaits_row", "created_at", "updated_at"),
}


def scenario_file(folder: Path, scenario: dict[str, Any]) -> Path:
    path = folder / "scenario.yaml"
    path.write_text(json.dumps(scenario))  # YAML as well
    return path


@pytest.mark.slow
async def test_it_adds_on_the_way_down_releases_on_the_way_up_and_ends_on_a_signal(
    open_a_world: OpenWorld,
) -> None:
    down_and_up = {"coins": {"BTC": {"path": DOWN_AND_UP}}, "start": "first_request"}
    async with (
        open_a_world(scenario_of(market=down_and_up), trusted=False) as world,
        command("run", "-c", world.config_file) as daemon,
    ):
        await world.until(lambda: {row.direction for row in world.effects()} == {"add", "reduce"})
        await world.until_settled_at_target("reduce")
        asked_at = time.monotonic()
        daemon.process.terminate()
        assert await daemon.ends() == 0, daemon.output
        assert time.monotonic() - asked_at < 10
        assert daemon.events[0]["event"] == "daemon_started"
        assert daemon.events[-1]["event"] == "daemon_stopped"
        assert all(row.maximum is not None for row in world.effects() if row.direction == "reduce")
        await world.judge()  # releases within the maximum of their moment, among the rest


@pytest.mark.slow
async def test_the_sandbox_and_the_daemon_find_each_other_as_two_commands(tmp_path: Path) -> None:
    scenario = scenario_file(tmp_path, scenario_of(NEEDY["add"]))
    async with command("sandbox", "--port", 0, "--scenario", scenario) as sandbox:
        await until(lambda: any(" at http" in line for line in sandbox.errors))
        url = sandbox.errors[0].split(" at ")[1].strip()
        environ = {
            "LTV_GUARD_MODE": "live",
            "LTV_GUARD_EXCHANGE__BASE_URL": url,
            "LTV_GUARD_ACCOUNTS__MAIN__API_KEY": KEY,
            "LTV_GUARD_ACCOUNTS__MAIN__API_SECRET": SECRET,
            "LTV_GUARD_JOURNAL__URL": f"sqlite:///{tmp_path / 'journal.db'}",
            "LTV_GUARD_EXCHANGE__RECV_WINDOW_MS": "1000",
            "LTV_GUARD_EXCHANGE__REQUEST_TIMEOUT_S": "0.8",
            "LTV_GUARD_SETTLEMENT__PROCESSING_MARGIN_S": "0.2",
            "LTV_GUARD_SETTLEMENT__HISTORY_LAG_S": "0.3",
        }
        status, once = await ran("run", "--once", environ=environ)
        assert status == 0, once.output
        assert len(once.heard("adjustment_confirmed")) == 1
        sandbox.process.terminate()
        assert await sandbox.ends() == 0, sandbox.output


async def test_once_says_in_its_status_whether_all_is_settled(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        world.fault("close_after", endpoint="adjust")
        status, once = await ran("run", "--once", "-c", world.config_file)
        assert status == 0, once.output
        assert world.is_at_target()
        assert list(await world.judge()) == ["confirmed"]


@pytest.mark.slow
async def test_once_fails_where_it_is_blind(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        world.fault("http_error", endpoint="orders", times=None)
        status, once = await ran("run", "--once", "-c", world.config_file)
        assert status == 1, once.output
        assert not world.effects(), "who is blind must never send anything"


async def test_a_dry_run_decides_and_sends_and_writes_nothing(open_a_world: OpenWorld) -> None:
    async with (
        open_a_world(scenario_of(NEEDY["add"]), config={"mode": "dry_run"}, trusted=False) as world,
        world.guarded(),
    ):
        await world.until(lambda: bool(world.heard("decision_made")))
        await world.until(lambda: len(world.heard("cycle_finished")) > 5)
        decided = world.heard("decision_made")[0]
        assert (decided["action"], decided["coin"]) == ("add", "BTC")
        assert world.heard("breach_unanswered")[0]["level"] == "critical"
        assert not world.exchange.writes
        assert await world.intents() == ()


@pytest.mark.slow
async def test_dry_run_is_the_default(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        del world.config["mode"]
        world.configure({})
        status, once = await ran("run", "--once", "-c", world.config_file)
        assert status == 0, once.output
        assert once.heard("daemon_started")[0]["mode"] == "dry_run"
        assert not world.exchange.writes


async def test_plan_says_what_it_would_do_and_does_nothing(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        status, plan = await ran("plan", "--json", "-c", world.config_file)
        assert status == 0, plan.output
        (row,) = json.loads("".join(plan.lines))
        assert (row["account"], row["loan_id"], row["action"], row["coin"]) == ("main", ORDER, "add", "BTC")
        assert row["ltv"] == "0.7895"
        assert Decimal("0.21") < Decimal(row["amount"]) < Decimal("0.22")
        assert not world.exchange.writes
        assert await world.intents() == ()
        status, table = await ran("plan", "-c", world.config_file)
        assert status == 0
        assert ORDER in table.output


async def test_the_journal_lists_intents_newest_first(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        world.fault("close_before", endpoint="adjust")
        async with world.guarded():
            await world.until_settled_at_target()
        status, listed = await ran("journal", "--json", "-c", world.config_file)
        assert status == 0, listed.output
        second, first = [json.loads(line) for line in listed.lines]
        assert first.keys() >= JOURNAL_KEYS
        assert (first["state"], second["state"]) == ("absent", "confirmed")
        assert first["created_at"] < second["created_at"]
        assert second["direction"] == "add"
        (row,) = world.effects()
        assert (second["amount"], second["adjust_id"]) == (format(row.amount, "f"), str(row.adjust_id))


@pytest.mark.slow
async def test_a_pause_holds_a_live_daemon_until_it_is_lifted(open_a_world: OpenWorld) -> None:
    roomy = scenario_of(limits={"reads_per_s": 50})  # for a daemon and a command
    async with open_a_world(roomy) as world, world.guarded():
        await world.until(lambda: bool(world.heard("cycle_finished")))
        status, pause = await ran("pause", "--reason", "looking into it", "-c", world.config_file)
        assert status == 0, pause.output
        assert "acknowledged" in pause.output
        world.price(NEEDY["add"])
        await world.until(lambda: bool(world.heard("breach_unanswered")))
        assert "looking into it" in world.heard("breach_unanswered")[0]["why"]
        assert not world.exchange.writes
        status, check = await ran("check", "-c", world.config_file)
        assert "looking into it" in check.output
        status, resume = await ran("resume", "-c", world.config_file)
        assert status == 0, resume.output
        await world.until_settled_at_target()
        assert world.heard("guard_paused")
        assert world.heard("guard_resumed")
        await world.judge()


@pytest.mark.slow
async def test_a_pause_survives_a_restart_and_a_bad_threshold(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        sound = world.config
        world.configure({"policy": {"add": {"trigger_ltv": 2}}})
        status, pause = await ran("pause", "--reason", "stop", "-c", world.config_file)
        assert status == 1, pause.output
        assert "no daemon is running" in pause.output
        world.config = sound
        world.configure({})
        async with world.guarded():
            await world.until(lambda: bool(world.heard("breach_unanswered")))
            await world.until(lambda: len(world.heard("cycle_finished")) > 3)
            assert not world.exchange.writes


@pytest.mark.slow
async def test_what_was_sent_is_settled_while_paused(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        world.fault("hang_after", endpoint="adjust")
        async with world.guarded():
            await world.until(lambda: bool(world.effects()))
            status, pause = await ran("pause", "--reason", "stop", "-c", world.config_file)
            assert status == 0, pause.output
            await world.until_quiet()
        assert list(await world.judge()) == ["confirmed"]


@pytest.mark.slow
async def test_two_keys_of_one_user_are_refused(open_a_world: OpenWorld) -> None:
    keys = [{"key": KEY, "secret": SECRET, "user": USER}, {"key": "other", "secret": "s", "user": USER}]
    other = {
        "products": ["crypto_loan_legacy"],
        "api_key_file": "other.key",
        "api_secret_file": "other.secret",
    }
    async with open_a_world(
        scenario_of(NEEDY["add"], keys=keys), config={"accounts": {"other": other}}
    ) as world:
        status, run = await ran("run", "-c", world.config_file)
        assert status == 2
        assert "same user" in "".join(run.errors)
        assert "Traceback" not in run.output
        assert not world.exchange.writes


@pytest.mark.slow
async def test_a_second_daemon_on_the_same_journal_refuses_to_start(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world, world.guarded():
        await world.until(lambda: bool(world.heard("cycle_finished")))
        status, second = await ran("run", "-c", world.config_file)
        assert status == 1
        assert "another ltv-guard" in "".join(second.errors)


async def test_a_signal_waits_for_the_request_in_flight(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        world.fault("slow", endpoint="adjust", seconds="0.6")
        async with command("run", "-c", world.config_file) as daemon:
            await world.until(lambda: bool(world.adjustments_sent()))
            daemon.process.terminate()
            assert await daemon.ends() == 0, daemon.output
        assert daemon.heard("adjustment_accepted")
        assert [intent.state for intent in await world.intents()] == ["accepted"]
        async with world.guarded():
            await world.until_settled_at_target()
        await world.judge()


WRONG: list[tuple[str, dict[str, Any] | str, str]] = [
    ("not YAML", "mode: [live", "config.yaml"),
    ("a duplicate key", "mode: live\nmode: dry_run\n", "mode"),
    ("an unknown key", {"polcy": {}}, "polcy"),
    ("a target above its trigger", {"policy": {"add": {"target_ltv": "0.8"}}}, "target_ltv"),
    ("plain http to a remote host", {"exchange": {"base_url": "http://api.bybit.com"}}, "base_url"),
    ("a secret in the file", {"accounts": {"main": {"api_secret": SECRET}}}, "api_secret"),
    ("a key file that is not there", {"accounts": {"main": {"api_key_file": "gone"}}}, "gone"),
    ("a journal that is no URL", {"journal": {"url": "nonsense"}}, "journal.url"),
]


SHOWN_BY_DEFAULT = {"a target above its trigger", "a secret in the file"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param(change, named, id=name, marks=() if name in SHOWN_BY_DEFAULT else pytest.mark.slow)
        for name, change, named in WRONG
    ],
)
async def test_a_wrong_configuration_gets_one_sentence_that_names_it(
    open_a_world: OpenWorld, change: dict[str, Any] | str, named: str
) -> None:
    async with open_a_world(trusted=False) as world:
        if isinstance(change, str):
            world.config_file.write_text(change)
        else:
            world.configure(change)
        status, run = await ran("run", "-c", world.config_file)
        assert status == 2, run.output
        (sentence,) = run.errors
        assert named in sentence
        assert SECRET not in run.output
        assert KEY not in run.output
        (event,) = run.events
        assert (event["event"], event["level"], named in event["why"]) == ("start_failed", "critical", True)
        assert len(run.lines) == 1
        assert not world.exchange.requests


@pytest.mark.slow
async def test_a_wrong_environment_is_refused_as_well(open_a_world: OpenWorld) -> None:
    async with open_a_world(trusted=False) as world:
        unknown = {"LTV_GUARD_POLCY": "1"}
        status, run = await ran("run", "-c", world.config_file, environ=unknown)
        assert (status, len(run.errors)) == (2, 1)
        assert "LTV_GUARD_POLCY" in run.errors[0]


async def test_a_key_that_may_not_adjust_loans_is_said_by_plan_and_fails_a_single_cycle(
    open_a_world: OpenWorld,
) -> None:
    keys = [{"key": KEY, "secret": SECRET, "user": USER, "read_only": True}]
    async with open_a_world(scenario_of(NEEDY["add"], keys=keys), trusted=False) as world:
        _, planned = await ran("plan", "-c", world.config_file)
        assert "main: nothing would be sent: needs a human: the key may not adjust loans" in planned.output
        status, once = await ran("run", "--once", "-c", world.config_file)
        assert (status, len(once.heard("needs_human"))) == (1, 1), once.output


async def test_where_there_is_no_journal_it_asks_for_the_daemons_configuration(tmp_path: Path) -> None:
    status, run = await ran("journal", environ={"XDG_STATE_HOME": str(tmp_path)})
    assert (status, "Name the daemon's configuration with -c" in run.output) == (1, True), run.output


async def test_a_file_without_its_option_is_told_which_one_it_needs() -> None:
    status, run = await ran("plan", "config.yaml")
    assert (status, "a configuration is named with -c" in run.output) == (2, True), run.output


@pytest.mark.parametrize("name", ["sandbox", "demo"])
async def test_a_command_that_reads_no_configuration_refuses_one(name: str) -> None:
    status, run = await ran(name, "-c", "config.yaml")
    assert (status, f"the {name} reads no configuration: " in run.output) == (2, True), run.output
    _, run = await ran(name, "scenario.yaml")
    assert "a scenario is named with --scenario" in run.output


async def test_a_sandbox_whose_port_is_in_use_says_how_to_name_another(open_a_world: OpenWorld) -> None:
    async with open_a_world() as world:
        port = world.config["exchange"]["base_url"].rpartition(":")[2]
        status, run = await ran("sandbox", "--port", port)
    assert status == 2, run.output
    (sentence,) = run.errors
    assert f"--port {port} of 127.0.0.1 is in use" in sentence


async def test_check_says_what_to_mend(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(CALM)) as world:
        status, good = await ran("check", "-c", world.config_file)
        assert status == 0, good.output
        (world.folder / "main.secret").write_text("another")
        status, bad = await ran("check", "-c", world.config_file, environ=WIDE)
        assert status == 1
        assert bad.output.count("10004") == 1
        assert "another" not in bad.output
        told = findings(bad.lines)
        unread = [what for what, (_, found, _) in told.items() if found.startswith("not looked at")]
        assert len(unread) == 3, told  # loans, wallet, history
        assert told["accounts.main: prices"][0] == "ok"  # it takes no key


async def test_check_says_that_the_key_may_not_move_coins(open_a_world: OpenWorld) -> None:
    keys = [{"key": KEY, "secret": SECRET, "user": USER, "permissions": {"Spot": ["SpotTrade"]}}]
    async with open_a_world(scenario_of(CALM, keys=keys)) as world:
        status, run = await ran("check", "-c", world.config_file)
        assert (status, "Account Transfer" in run.output) == (0, False), run.output
        asked = {"LTV_GUARD_SOURCES__UNIFIED_TRANSFER__ENABLED": "true"}
        status, run = await ran("check", "-c", world.config_file, environ=asked)
        told = " ".join(run.output.split())
        assert status == 1
        assert "'Account Transfer'" in told
        assert "sources.unified_transfer" in told
        watching = asked | {"LTV_GUARD_MODE": "dry_run"}
        status, run = await ran("check", "-c", world.config_file, environ=watching)
        assert status == 0, run.output
