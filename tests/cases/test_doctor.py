"""`check` looks at what `run` reads, and says what protects nothing; `plan` shows, and raises no alarm."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from e2e_shown import WIDE, findings
from e2e_world import (
    A_POOL,
    BOTH_PRODUCTS,
    CALM,
    KEY,
    LEGACY,
    NEEDY,
    ORDER,
    SECRET,
    USER,
    Tree,
    merged,
    ran,
    scenario_of,
    shown_first,
)

if TYPE_CHECKING:
    from conftest import OpenWorld

READS = {
    "orders": f"loans, {LEGACY}",
    "terms": f"terms, {LEGACY}",
    "position": "loans, crypto_loan",
    "wallet": "Funding wallet",
    "history": f"list of adjustments, {LEGACY}",
    "tickers": "prices",
}
TWO_USERS = {
    "keys": [
        {"key": KEY, "secret": SECRET, "user": USER},
        {"key": "other", "secret": "of-the-other", "user": "2"},
    ],
    "users": {USER: scenario_of()["users"][USER], "2": {"funding": {"BTC": "1"}}},
}
OTHER = {"products": [LEGACY], "api_key_file": "other.key", "api_secret_file": "other.secret"}


def both_loans() -> Tree:
    users = {USER: {**scenario_of()["users"][USER], **A_POOL.borrowed}}
    return scenario_of(CALM, users=users)


@pytest.mark.case(22)
async def test_check_reads_what_run_reads_each_with_its_own_line(open_a_world: OpenWorld) -> None:
    async with open_a_world(both_loans(), config=BOTH_PRODUCTS) as world:
        status, good = await ran("check", "-c", world.config_file, environ=WIDE)
        assert status == 0, good.output
        told = findings(good.lines)
        assert all(told[f"accounts.main: {what}"][0] == "ok" for what in READS.values()), good.output
        assert told[f"accounts.main: loans, {LEGACY}"][1] == "1 loan, the highest LTV 0.5769"
        assert "5 BTC" in told["accounts.main: Funding wallet"][1]


@pytest.mark.case(22)
@pytest.mark.parametrize("endpoint", shown_first(READS, 2))
async def test_a_read_that_fails_is_no_in_its_own_line_and_status_1(
    open_a_world: OpenWorld, endpoint: str
) -> None:
    async with open_a_world(both_loans(), config=BOTH_PRODUCTS) as world:
        product = {"product": LEGACY} if endpoint in {"terms", "history"} else {}
        world.fault("ret_code", endpoint=endpoint, code=10005, message="denied", times=None, **product)
        status, bad = await ran("check", "-c", world.config_file, environ=WIDE)
        assert status == 1, bad.output
        failed = {what: mend for what, (mark, _, mend) in findings(bad.lines).items() if mark == "no"}
        assert failed.keys() == {f"accounts.main: {READS[endpoint]}"}, bad.output
        assert all(failed.values()), failed


@pytest.mark.parametrize(
    ("fault", "found", "mend"),
    [
        (None, "first price after", ""),
        ("http_error", "it answers HTTP 502", "may this machine connect to it?"),
    ],
    ids=["", "no stream"],
)
async def test_check_tries_the_price_stream_and_fails_for_nothing_of_it(
    open_a_world: OpenWorld, fault: str | None, found: str, mend: str
) -> None:
    async with open_a_world() as world:
        url = world.stream_url
        world.configure({"exchange": {"stream_url": url}})
        if fault is not None:
            world.fault(fault, endpoint="stream", times=None)
        status, check = await ran("check", "-c", world.config_file, environ=WIDE)
        _, told, remedy = findings(check.lines)["price stream"]
        assert status == 0
        assert (url in told, found in told, mend in remedy) == (True, True, True), check.output


@pytest.mark.case(15)
async def test_limits_and_rules_that_nothing_matches_are_told(open_a_world: OpenWorld) -> None:
    wrong = {
        "wallet": {"reserve": {"XBT": 1}, "max_add_24h": {"BCT": 1, "BTC": 2}},
        "overrides": [
            {"match": {"order_id": "1794267532472646144"}, "protect": False},
            {"match": {"order_id": ORDER}, "policy": {"limits": {"max_add": {"BTX": 1}}}},
        ],
    }
    keys = {
        "wallet.reserve.XBT": "no coin XBT",
        "wallet.max_add_24h.BCT": "did you mean BTC?",
        "overrides.0": f"no loan 1794267532472646144: the exchange shows only {ORDER}",
        "overrides.1.policy.limits.max_add.BTX": "no coin BTX",
    }
    async with open_a_world(config=wrong) as world:
        status, check = await ran("check", "-c", world.config_file, environ=WIDE)
        assert status == 0, check.output
        told = {
            what: found
            for what, (mark, found, _) in findings(check.lines).items()
            if "nothing matches" in found
        }
        assert told.keys() == keys.keys(), check.output
        assert all(words in told[key] for key, words in keys.items()), told
        async with world.guarded():
            await world.until(lambda: len(world.heard("setting_matches_nothing")) >= len(keys))
            seen = len(world.heard("cycle_finished"))
            await world.until(lambda: len(world.heard("cycle_finished")) > seen + 2)
        events = world.heard("setting_matches_nothing")
        assert {item["key"]: item["why"] for item in events}.keys() == keys.keys()
        assert len(events) == len(keys)
        assert {(item["level"], item["account"]) for item in events} == {("warning", "main")}


@pytest.mark.case(15)
async def test_a_rule_for_one_of_several_accounts_is_not_missed_in_the_others(
    open_a_world: OpenWorld,
) -> None:
    rules = {
        "accounts": {"other": OTHER},
        "overrides": [
            {"match": {"order_id": ORDER}, "policy": {"add": {"target_ltv": 0.6}}},
            {"match": {"order_id": "77"}, "protect": False},
        ],
    }
    async with open_a_world(scenario_of(**TWO_USERS), config=rules) as world, world.guarded():
        await world.until(lambda: bool(world.heard("setting_matches_nothing")))
        (told,) = world.heard("setting_matches_nothing")
        assert (told["key"], told["account"]) == ("overrides.1", "main, other")


@pytest.mark.case(23)
async def test_plan_shows_what_the_daemon_would_say_and_raises_no_alarm(open_a_world: OpenWorld) -> None:
    async with open_a_world(scenario_of(NEEDY["add"])) as world:
        status, calm = await ran("plan", "-c", world.config_file)
        assert (status, calm.errors) == (0, []), calm.output
        assert "breach_unanswered" not in calm.output  # it would be answered
        world.configure({"mode": "dry_run", "wallet": {"max_add_24h": {"BTC": 0.01}}})
        status, plan = await ran("plan", "-c", world.config_file, environ=WIDE)
        assert (status, plan.errors) == (0, []), plan.output
        assert f"CRITICAL breach_unanswered, main, order {ORDER}" in plan.output
        status, plan = await ran("plan", "--json", "-c", world.config_file)
        assert plan.errors == []
        (row,) = json.loads("".join(plan.lines))
        assert {item["event"] for item in row["says"]} >= {"breach_unanswered", "protection_short"}


@pytest.mark.case(21)
async def test_check_and_plan_make_no_journal(open_a_world: OpenWorld) -> None:
    async with open_a_world(trusted=False) as world:
        for verb in ("check", "plan"):
            status, run = await ran(verb, "-c", world.config_file, environ=WIDE)
            assert status == 0, run.output
        assert not (world.folder / "journal.db").exists()


@pytest.mark.case(25)
async def test_what_concerns_an_account_names_it_from_the_start(open_a_world: OpenWorld) -> None:
    config = merged({"accounts": {"other": OTHER}}, {})
    async with open_a_world(scenario_of(**TWO_USERS), config=config) as world:
        world.fault("ret_code", endpoint="key", code=10003, message="no", user=USER, times=None)
        async with world.guarded():
            await world.until(lambda: len(world.heard("guard_blind")) >= 1)
            await world.until(lambda: bool(world.heard("key_without_ip")))
        about_all = {"daemon_started", "daemon_stopped"}
        unnamed = {
            item["event"] for item in world.events if "account" not in item and item["level"] != "debug"
        }
        assert unnamed <= about_all
        assert {item["account"] for item in world.heard("read_failed")} == {"main"}


@pytest.mark.case(32)
async def test_files_that_are_open_to_all_are_told_at_start_and_in_check(
    open_a_world: OpenWorld,
) -> None:
    async with open_a_world() as world:
        _, calm = await ran("check", "-c", world.config_file, environ=WIDE)
        assert "everybody" not in calm.output
        (world.folder / "main.secret").chmod(0o644)
        world.config_file.chmod(0o666)
        world.folder.chmod(0o777)
        status, check = await ran("check", "-c", world.config_file, environ=WIDE)
        told = findings(check.lines)
        keys = {"accounts.main.api_secret_file", "the configuration", "journal.url"}
        assert status == 0, check.output
        assert {
            what for what, (mark, found, _) in told.items() if mark == "!" and "everybody" in found
        } == keys
        async with world.guarded():
            await world.until(lambda: bool(world.heard("cycle_finished")))
        warned = {item["key"]: item for item in world.heard("permissions_too_wide")}
        assert warned.keys() == keys
        assert {item["level"] for item in warned.values()} == {"warning"}
        assert warned["accounts.main.api_secret_file"]["account"] == "main"
        world.folder.chmod(0o700)
