"""What is said of ends that come near and of terms that change: once when it is news, to the right loans."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import exchange_model
import pytest
import structlog
from exchange_model import POLICY, POOL, START_MS, World, a_guard, a_world, key_of

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Collateral, Debt, Loan, LoanKey, Moment, Product, Totals
from ltv_guard.core.model.policy import LoanPolicy, Match, Rulebook
from ltv_guard.core.model.timing import TIMING
from ltv_guard.core.ports import Identity
from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.key_access import KeyAccess
from ltv_guard.guard.loan_watch import LoanWatch
from ltv_guard.guard.reporter import Reporter
from ltv_guard.guard.snapshot import GuardOptions
from ltv_guard.guard.state.loan_registry import LoanRegistry
from ltv_guard.guard.state.memory import Memory
from ltv_guard.log.alert_repeater import AlertRepeater

Event = MutableMapping[str, Any]

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
TWO = LoanPolicy(maturity_notice_ms=(3 * DAY, DAY))


@pytest.fixture(autouse=True)
def events() -> Iterator[list[Event]]:
    with structlog.testing.capture_logs() as heard:
        yield heard


@dataclass
class ConditionsBench:
    """A guard's eyes without the guard: it is shown loans at a time of ours, from `START_MS` on."""

    policy: LoanPolicy = TWO
    overrides: tuple[tuple[Match, LoanPolicy], ...] = ()
    at_ms: int = 0
    loans: LoanRegistry = field(default_factory=LoanRegistry)

    def __post_init__(self) -> None:
        self.alerts = AlertRepeater(lambda: self.at_ms)
        self.report = Reporter(3, self.alerts, Memory(MemoryJournal()).freshness)
        self.conditions = LoanWatch(
            Rulebook(default=self.policy, overrides=self.overrides), self.loans, self.alerts
        )

    @property
    def now(self) -> Moment:
        return Moment(exchange_ms=START_MS + self.at_ms, monotonic_ms=self.at_ms)

    def sees(self, *loans: Loan, at: int | None = None, product: Product = Product.LEGACY) -> None:
        """One complete read of a product's loans; without `at`, a second after the last."""
        self.at_ms = self.at_ms + 1000 if at is None else at
        book = LoanBook(product=product, loans=loans, began=self.now)
        gone = self.loans.saw(book)
        self.report.loans.book(book, gone)
        for loan in gone:
            self.report.loans.gone(loan, self.now, None)
        self.conditions.look(book, self.now)


def order(
    number: int = 1,
    ends: int | None = None,
    *,
    coin: str = "BTC",
    call: str = "0.87",
    ltv: str = "0.6",
    debts: tuple[Debt, ...] = (Debt(coin="USDT", amount=Decimal("1888.050000")),),
) -> Loan:
    """A legacy order that ends so many ms after `START_MS`."""
    return Loan(
        key=key_of(number),
        ltv=Decimal(ltv),
        collateral=(Collateral(coin=coin, amount=Decimal(1), accuracy=8),),
        debts=debts,
        margin_call_ltv=Decimal(call),
        liquidation_ltv=Decimal("0.95"),
        expires_at_ms=None if ends is None else START_MS + ends,
    )


def pool(call: str = "0.85") -> Loan:
    totals = Totals(debt_usd=Decimal(1), collateral_usd=Decimal(2))
    return replace(order(call=call), key=POOL, totals=totals)


def heard(events: list[Event], name: str) -> list[Event]:
    return [event for event in events if event["event"] == name]


# A loan that nears its end


def test_an_end_is_told_once_at_each_distance(events: list[Event]) -> None:
    watch = ConditionsBench()
    for hour in range(10 * 24):
        watch.sees(order(ends=10 * DAY), at=hour * HOUR)
    told = heard(events, "maturity_near")
    assert [event["seconds_left"] for event in told] == [3 * 86_400, 86_400]
    assert not heard(events, "loan_overdue")


def test_what_is_told_of_an_end_is_complete(events: list[Event]) -> None:
    ConditionsBench().sees(order(ends=DAY - 500), at=0)
    (told,) = heard(events, "maturity_near")
    assert told.pop("what_follows").startswith("repay it in the exchange's app: ")
    assert told == {
        "event": "maturity_near",
        "log_level": "warning",
        "product": "crypto_loan_legacy",
        "loan_id": "1",
        "expires_at": "2023-11-15T22:13:19.500Z",
        "seconds_left": 86_399,
        "owed": {"USDT": "1888.050000"},
    }


def test_a_start_within_a_window_tells_the_nearest_notice_and_no_passed_one(events: list[Event]) -> None:
    for _ in range(2):  # the second is a restart
        ConditionsBench().sees(order(ends=HOUR), at=0)
    assert [event["seconds_left"] for event in heard(events, "maturity_near")] == [3600, 3600]


def test_a_small_amount_is_told_in_plain_notation(events: list[Event]) -> None:
    ConditionsBench().sees(order(ends=HOUR, debts=(Debt(coin="BTC", amount=Decimal("1E-8")),)), at=0)
    assert heard(events, "maturity_near")[0]["owed"] == {"BTC": "0.00000001"}


@pytest.mark.parametrize("loan", [order(), pool()], ids=["a flexible order", "a pool"])
def test_a_loan_without_an_end_is_not_told_of(loan: Loan, events: list[Event]) -> None:
    ConditionsBench().sees(loan, product=loan.key.product)
    assert events == []


def test_a_loan_that_is_not_protected_is_told_of_too(events: list[Event]) -> None:
    watch = ConditionsBench(overrides=((Match(order_id="1"), replace(TWO, protect=False)),))
    watch.sees(order(ends=HOUR))
    watch.sees(order(ends=-HOUR))
    assert [event["event"] for event in events] == ["maturity_near", "loan_overdue"]


def test_an_override_has_distances_of_its_own(events: list[Event]) -> None:
    watch = ConditionsBench(overrides=((Match(order_id="2"), LoanPolicy(maturity_notice_ms=(HOUR,))),))
    watch.sees(order(1, ends=2 * HOUR), order(2, ends=2 * HOUR), at=0)
    assert [event["loan_id"] for event in heard(events, "maturity_near")] == ["1"]
    watch.sees(order(1, ends=2 * HOUR), order(2, ends=2 * HOUR), at=HOUR)
    assert [event["loan_id"] for event in heard(events, "maturity_near")] == ["1", "2"]


def test_a_loan_that_one_read_lacks_is_not_told_of_anew(events: list[Event]) -> None:
    watch = ConditionsBench()
    for loans in [(order(ends=HOUR),), (), (order(ends=HOUR),), (order(ends=HOUR),)]:
        watch.sees(*loans)
    assert len(heard(events, "maturity_near")) == 1


def test_a_loan_that_is_gone_is_forgotten(events: list[Event]) -> None:
    watch = ConditionsBench()
    for loans in [(order(1, ends=HOUR), order(2, ends=-HOUR)), (), ()]:
        watch.sees(*loans)
    assert len(heard(events, "loan_gone")) == 2
    assert not watch.conditions._ends.told
    assert not watch.alerts.ended(("overdue", key_of(2)))
    before = len(events)
    watch.sees(at=3 * HOUR)
    assert len(events) == before


# A loan that is overdue


def test_an_overdue_loan_is_critical_and_repeated_with_growing_pauses(events: list[Event]) -> None:
    watch = ConditionsBench()
    minutes = []
    for minute in range(95):
        before = len(heard(events, "loan_overdue"))
        watch.sees(order(ends=0), at=minute * MINUTE)
        minutes += [minute] * (len(heard(events, "loan_overdue")) - before)
    assert minutes == [0, 1, 3, 7, 15, 31, 61, 91]
    assert {event["log_level"] for event in events} == {"critical"}


def test_what_is_told_of_an_overdue_loan_is_complete(events: list[Event]) -> None:
    ConditionsBench().sees(order(ends=0), at=HOUR)
    (told,) = heard(events, "loan_overdue")
    sentence = told.pop("what_follows")
    for part in ("three times the interest", "48 h", "no collateral saves it", "only repaying does"):
        assert part in sentence
    assert told == {
        "event": "loan_overdue",
        "log_level": "critical",
        "product": "crypto_loan_legacy",
        "loan_id": "1",
        "expires_at": "2023-11-14T22:13:20.000Z",
        "liquidated_at": "2023-11-16T22:13:20.000Z",
        "owed": {"USDT": "1888.050000"},
    }


def test_an_overdue_loan_is_told_of_without_any_distance(events: list[Event]) -> None:
    watch = ConditionsBench(policy=LoanPolicy(maturity_notice_ms=()))
    watch.sees(order(ends=HOUR), at=0)
    assert events == []
    watch.sees(order(ends=HOUR), at=HOUR)
    assert [event["event"] for event in events] == ["loan_overdue"]


def test_an_overdue_loan_that_is_extended_is_overdue_no_longer(events: list[Event]) -> None:
    watch = ConditionsBench()
    watch.sees(order(ends=0), at=HOUR)
    watch.sees(order(ends=2 * DAY), at=2 * HOUR)
    watch.sees(order(ends=2 * DAY), at=3 * HOUR)
    assert [event["event"] for event in events] == ["loan_overdue", "maturity_near"]


def test_a_clock_that_is_set_back_across_the_end_tells_nothing_anew(events: list[Event]) -> None:
    watch = ConditionsBench()
    for at in (HOUR - 500, HOUR, HOUR - 500, HOUR):
        watch.sees(order(ends=HOUR), at=at)
    assert [event["event"] for event in events] == ["maturity_near", "loan_overdue"]


@pytest.mark.parametrize(
    ("hours", "event"), [(47, "loan_gone"), (48, "loan_liquidated"), (100, "loan_liquidated")]
)
def test_an_overdue_loan_that_vanishes_after_two_days_was_liquidated(
    hours: int, event: str, events: list[Event]
) -> None:
    watch = ConditionsBench()
    watch.sees(order(ends=0), at=HOUR)
    for _ in range(2):
        watch.sees(at=hours * HOUR)
    assert [item["event"] for item in events] == ["loan_overdue", event]
    if event == "loan_liquidated":
        assert events[-1]["log_level"] == "critical"
        assert "48 h" in events[-1]["why"]


# Terms that change


def test_a_change_of_terms_is_told_once_for_all_orders_of_a_coin(events: list[Event]) -> None:
    watch = ConditionsBench()
    watch.sees(order(1), order(2), order(3, coin="ETH"))
    for _ in range(3):
        watch.sees(order(1, call="0.80"), order(2, call="0.80"), order(3, coin="ETH"))
    assert events == [
        {
            "event": "terms_changed",
            "log_level": "warning",
            "product": "crypto_loan_legacy",
            "coin": "BTC",
            "loans": 2,
            "margin_call_ltv": Decimal("0.80"),
            "margin_call_ltv_before": Decimal("0.87"),
            "liquidation_ltv": Decimal("0.95"),
            "liquidation_ltv_before": Decimal("0.95"),
        }
    ]


def test_every_change_of_terms_is_told(events: list[Event]) -> None:
    watch = ConditionsBench()
    for loan in (
        order(call="0.87"),
        order(call="0.80"),
        order(call="0.87"),
        replace(order(), liquidation_ltv=Decimal("0.91")),
    ):
        watch.sees(loan)
    told = [
        (event["margin_call_ltv_before"], event["margin_call_ltv"], event["liquidation_ltv"])
        for event in heard(events, "terms_changed")
    ]
    d = Decimal
    assert told == [
        (d("0.87"), d("0.80"), d("0.95")),
        (d("0.80"), d("0.87"), d("0.95")),
        (d("0.87"), d("0.87"), d("0.91")),
    ]


def test_the_same_terms_written_otherwise_are_no_change(events: list[Event]) -> None:
    watch = ConditionsBench()
    watch.sees(order(call="0.80"))
    watch.sees(order(call="0.8"))
    assert events == []


def test_a_pools_terms_are_its_own(events: list[Event]) -> None:
    watch = ConditionsBench()
    watch.sees(order())
    watch.sees(pool("0.85"), product=Product.CRYPTO_LOAN)
    assert events == []
    watch.sees(pool("0.80"), product=Product.CRYPTO_LOAN)
    (told,) = heard(events, "terms_changed")
    assert (told["product"], told["coin"]) == ("crypto_loan", None)


# The same through the guard


@pytest.fixture
def margin_call(monkeypatch: pytest.MonkeyPatch) -> dict[str, Decimal]:
    """What the exchange of the model asks for; a test changes it."""
    terms = {"margin_call": Decimal("0.87")}
    shown = exchange_model.shown_loan
    monkeypatch.setattr(
        exchange_model,
        "shown_loan",
        lambda world, key: replace(shown(world, key), margin_call_ltv=terms["margin_call"]),
    )
    return terms


async def cycles(guard: Guard, world: World, count: int) -> None:
    for _ in range(count):
        await guard.cycle()
        world.advance(2_000)


@pytest.mark.parametrize("live", [True, False], ids=["live", "dry run"])
@pytest.mark.parametrize("key", [key_of(1), POOL], ids=["order", "pool"])
async def test_terms_that_come_nearer_pull_thresholds_in_with_one_warning_a_change(
    key: LoanKey, margin_call: dict[str, Decimal], events: list[Event], *, live: bool
) -> None:
    world = a_world("0.7") if key != POOL else a_world(pool="0.7")
    guard = a_guard(world, MemoryJournal(), live=live)
    await cycles(guard, world, 3)
    assert not heard(events, "threshold_pulled_in")
    for call, trigger, emergency in [("0.77", "0.74", "0.76"), ("0.80", "0.75", "0.79")]:
        events.clear()
        margin_call["margin_call"] = Decimal(call)
        await cycles(guard, world, 3)
        (changed,), (pulled,) = heard(events, "terms_changed"), heard(events, "threshold_pulled_in")
        assert changed["margin_call_ltv"] == Decimal(call)
        assert (pulled["trigger"], pulled["emergency"]) == (Decimal(trigger), Decimal(emergency))
        assert pulled["log_level"] == "warning"
    events.clear()
    margin_call["margin_call"] = Decimal("0.87")
    await cycles(guard, world, 3)
    assert heard(events, "terms_changed")
    assert not heard(events, "threshold_pulled_in")
    assert not world.sent


@pytest.mark.parametrize("key", [key_of(1), POOL], ids=["order", "pool"])
async def test_a_loan_that_new_terms_put_above_its_trigger_is_added_to(
    key: LoanKey, margin_call: dict[str, Decimal], events: list[Event]
) -> None:
    world = a_world("0.7") if key != POOL else a_world(pool="0.7")
    guard = a_guard(world, MemoryJournal(), policy=POLICY)
    await cycles(guard, world, 3)
    assert not world.sent
    margin_call["margin_call"] = Decimal("0.72")  # the trigger is now 0.69, the target 0.64
    await cycles(guard, world, 10)
    assert Decimal("0.63") < world.ltv(key) <= Decimal("0.64")


# The VIP level, which the terms go by


class Key:
    """A key whose VIP level changes, and whose exchange can fail."""

    def __init__(self) -> None:
        self.level = "VIP0"
        self.fails: Exception | None = None
        self.asked = 0

    async def identify(self) -> Identity:
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        return Identity(
            user_id="7",
            vip_level=self.level,
            read_only=False,
            can_withdraw=False,
            can_adjust=True,
            ip_bound=True,
        )


async def test_the_key_is_asked_again_each_hour_and_a_failure_costs_nothing() -> None:
    watch, key, levels = ConditionsBench(), Key(), list[str]()

    async def claim(identity: Identity) -> None:
        levels.append(identity.vip_level)

    class Clock:
        def now(self) -> Moment:
            return watch.now

    options = GuardOptions(account="main", environment="testnet")
    key_access = KeyAccess(options, key, Clock(), watch.report, claim)  # type: ignore[arg-type]
    assert await key_access.know() is not None
    key.level = "VIP1"
    for _ in range(3):
        await key_access.look_again()
    assert levels == ["VIP0"]
    watch.at_ms += TIMING.key_look_ms
    for _ in range(3):
        await key_access.look_again()
    assert (levels, key.asked) == (["VIP0", "VIP1"], 2)
    for failure in (ExchangeUnavailable("down"), NeedsHuman("10003")):
        key.fails = failure
        watch.at_ms += TIMING.key_look_ms
        await key_access.look_again()
    assert (len(levels), key.asked) == (2, 4)
    assert not key_access.is_lost


async def test_the_key_is_not_asked_while_something_is_under_way() -> None:
    world = a_world("0.80")
    guard = a_guard(world, MemoryJournal())
    assert (await guard.cycle()).busy
    asked: list[int] = []

    async def look_again() -> None:
        asked.append(world.monotonic_ms)

    guard._key_access.look_again = look_again  # type: ignore[method-assign]
    world.history_down = True
    for _ in range(3):
        world.advance(2_000)
        await guard.cycle()
    assert not asked
    world.history_down = False
    await cycles(guard, world, 10)
    assert asked
