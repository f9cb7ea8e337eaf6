"""What a worker of a fleet knows of its leases, and of settings of which it obeys a part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from secret_files import write_secret

from ltv_guard.adapters.settings import ConfigError, Settings, load
from ltv_guard.core.model.leases import FleetView, Lease, Tenure
from ltv_guard.service.fleet.holdings import Holdings
from ltv_guard.service.fleet.whole import Whole
from ltv_guard.service.latest import Latest

TENURE = Tenure(account="main", worker="w1", epoch=3)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def view(*leases: Lease) -> FleetView:
    return FleetView(now_ms=1_000, leases=leases, workers=["w1"])


def lease(worker: str | None = "w1", epoch: int = 3, left_ms: int = 5_000) -> Lease:
    return Lease(account="main", egress="e", worker=worker, epoch=epoch, expires_at_ms=1_000 + left_ms)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def holdings(clock: Clock) -> Holdings:
    held = Holdings("w1", monotonic=clock)
    held.take(TENURE, until=105.0)
    return held


def test_nothing_is_sent_for_an_account_that_is_not_held(holdings: Holdings) -> None:
    assert holdings.may_send("main")
    assert not holdings.may_send("other")


def test_nothing_is_sent_once_the_lease_would_have_run_out(holdings: Holdings, clock: Clock) -> None:
    clock.now = 105.0
    assert not holdings.may_send("main")
    assert holdings.agree(view(lease()), asked_at=104.0) == ([], [])
    assert holdings.may_send("main"), "the database says that it still holds"


def test_a_lease_counts_from_when_it_was_asked_for(holdings: Holdings, clock: Clock) -> None:
    holdings.agree(view(lease(left_ms=2_000)), asked_at=100.0)
    clock.now = 102.0
    assert not holdings.may_send("main")


@pytest.mark.parametrize("now", [lease(worker="w2", epoch=4), lease(worker=None), lease(epoch=5)])
def test_an_account_that_was_another_s_in_between_is_lost(holdings: Holdings, now: Lease) -> None:
    come, lost = holdings.agree(view(now), asked_at=100.0)
    assert lost == ["main"]
    assert [item.epoch for item in come] == ([5] if now.epoch == 5 else [])
    assert holdings.may_send("main") is (now.epoch == 5)


def test_while_guards_change_hands_a_lost_one_sends_nothing_and_stays_known(holdings: Holdings) -> None:
    assert holdings.hear(view(lease(worker="w2", epoch=4)), asked_at=100.0) == ["main"]
    assert not holdings.may_send("main")
    assert holdings.tenures == (TENURE,)


def test_what_was_taken_though_the_answer_was_lost_is_held_and_was_no_orderly_end() -> None:
    holdings = Holdings("w1")
    come, _ = holdings.agree(view(lease()), asked_at=0.0)
    assert come == [TENURE]
    assert not come[0].is_orderly


def test_a_view_from_before_an_account_was_given_back_brings_it_back_no_more(holdings: Holdings) -> None:
    holdings.leave(["main"])
    holdings.drop(TENURE, given_back=True)
    assert holdings.agree(view(lease()), asked_at=100.0) == ([], [])
    assert holdings.tenures == ()
    assert holdings.agree(view(lease(epoch=5)), asked_at=101.0)[0], "it has come again since"


def test_what_could_not_be_given_back_is_held_as_long_as_the_database_says_so(holdings: Holdings) -> None:
    holdings.leave(["main"])
    holdings.drop(TENURE, given_back=False)
    come, _ = holdings.agree(view(lease()), asked_at=100.0)
    assert come == [TENURE]


def test_after_a_refused_write_nothing_is_sent_until_the_database_was_asked(holdings: Holdings) -> None:
    holdings.doubt("main")
    assert not holdings.may_send("main")
    holdings.agree(view(lease()), asked_at=100.0)
    assert holdings.may_send("main")


def test_what_is_about_to_be_given_back_sends_nothing_and_leaves_once(holdings: Holdings) -> None:
    assert holdings.leave(["main", "other"]) == [TENURE]
    assert holdings.leave(["main"]) == []
    assert not holdings.may_send("main")
    assert holdings.accounts == frozenset()
    holdings.drop(TENURE, given_back=True)
    assert holdings.tenures == ()


# Settings of all, of which a worker obeys a part.


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Settings]:
    def write(**changes: object) -> Settings:
        accounts = {}
        for name, egress in (("a", "east"), ("b", "east"), ("c", "west")):
            write_secret(tmp_path / f"{name}.key", f"key-{name}")
            write_secret(tmp_path / f"{name}.secret", f"secret-{name}")
            accounts[name] = {
                "api_key_file": f"{name}.key",
                "api_secret_file": f"{name}.secret",
                "egress": egress,
            }
        tree = {
            "accounts": accounts,
            "journal": {"url": "postgresql://somebody@localhost/ltv_guard"},
            "fleet": {"enabled": True, "egress": "east"},
            **changes,
        }
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(tree))
        return load(tmp_path / "config.yaml", environ={})

    return write


def test_a_worker_guards_accounts_of_its_own_address_alone(written: Callable[..., Settings]) -> None:
    settings = written()
    whole = Whole(settings, lambda: settings)
    assert whole.accounts == {"a", "b"}
    assert list(whole.of({"b"}).accounts) == ["b"]


def test_a_fleet_needs_a_journal_that_can_be_shared(written: Callable[..., Settings], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"fleet\.enabled needs a journal in PostgreSQL"):
        written(journal={"url": f"sqlite:///{tmp_path}/journal.db"})


def test_a_worker_without_an_account_of_its_address_is_told(written: Callable[..., Settings]) -> None:
    with pytest.raises(ConfigError, match=r"fleet\.egress .* one of east, west"):
        written(fleet={"enabled": True, "egress": "north"})


def test_what_a_worker_is_known_by_is_not_changed_while_it_runs(written: Callable[..., Settings]) -> None:
    before = written()
    whole = Whole(before, lambda: written(fleet={"enabled": True, "egress": "east", "lease_s": 20}))
    with pytest.raises(ConfigError, match="fleet can't be changed"):
        whole.read_again(lambda: ["a"])
    assert whole.settings is before


def test_a_reload_changes_the_accounts_that_are_held_and_those_that_may_come(
    written: Callable[..., Settings],
) -> None:
    whole = Whole(written(), lambda: written(schedule={"poll_interval_s": 9}))
    found = whole.read_again(lambda: ["a"])
    assert list(found.accounts) == ["a"]
    assert found.schedule.poll_interval_s == whole.settings.schedule.poll_interval_s == 9


def test_an_account_that_comes_again_is_not_silent_since_it_left() -> None:
    clock = Clock()
    latest = Latest(clock)
    clock.now += 1_000
    latest.begin("main")
    clock.now += 1
    assert latest.silent_s("main") == 1
