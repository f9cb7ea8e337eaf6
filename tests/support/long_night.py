"""One long night in virtual time, act by act: nearly all that a guard can tell is told here.

Each act begins with a world and a guard of its own: what changes in one leaves the others as they were.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, NoReturn

import structlog
from exchange_model import (
    POLICY,
    POOL,
    START_MS,
    a_world,
    key_of,
    with_limits,
)
from night_world import Night

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.errors import (
    ExchangeUnavailable,
    JournalUnavailable,
    NeedsHuman,
    Remedy,
    WriteOutcomeUnknown,
    WriteRejected,
)
from ltv_guard.core.model.history import RowStatus
from ltv_guard.core.model.intents import State
from ltv_guard.core.model.loan_book import LoanEnd, SetAside
from ltv_guard.core.model.loans import Additions, Collateral, Direction, Loan
from ltv_guard.core.model.policy import TransferRules, WalletRules
from ltv_guard.core.ports import Oddity
from ltv_guard.service.heartbeat import Heartbeat

ONE, TWO = key_of(1), key_of(2)
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# What is written for people: it may be said better from one version to the next.
SENTENCES = {
    *("why", "reason", "mend", "held_back", "follows", "what_follows", "what_to_do", "waiting_for"),
    *("ret_msg", "next_amount", "exc_info"),
}
IDS = {"intent_id", "rescue_of", "adjust_id"}
CHANCE = {"cycle_id"}
Line = dict[str, Any]


Act = Callable[[], Awaitable[Night]]
ACTS: dict[str, Act] = {}


def act(play: Act) -> Act:
    ACTS[play.__name__.replace("_", " ")] = play
    return play


# What a guard does for loans


@act
async def prices_fall_and_rise() -> Night:
    night = Night(a_world("0.60", "0.55", pool="0.62"))
    await night.cycles(2)
    for ltv in ("0.78", "0.76", "0.83"):
        night.price_for(ltv)
        await night.cycles(6)
    night.price_for("0.35")
    await night.cycles(12, every_ms=5_000)
    return night


@act
async def a_dry_run_watches() -> Night:
    night = Night(a_world("0.60", pool="0.50"), live=False)
    await night.cycles(1)
    night.price_for("0.82")
    await night.cycles(3, every_ms=40_000)
    return night


@act
async def coins_are_moved_here_and_debt_is_repaid() -> Night:
    policy = replace(POLICY, repay=replace(POLICY.repay, enabled=True))
    night = Night(
        a_world("0.70", pool="0.60", wallet="0.01", unified="0.05", owed="9000"),
        policy=policy,
        transfers=TransferRules(enabled=True),
    )
    await night.cycles(2)
    night.price_for("0.84")
    await night.cycles(25)
    night.price_for("0.86")
    await night.cycles(10)
    return night


@act
async def there_is_too_little() -> Night:
    night = Night(
        a_world("0.70", "0.72", wallet="0.05"), wallet=WalletRules(reserve={"BTC": Decimal("0.02")})
    )
    await night.cycles(1)
    night.price_for("0.78")
    await night.cycles(8, every_ms=10_000)
    night.world.wallet["BTC"] = Decimal(5)
    await night.cycles(6)
    return night


@act
async def a_small_cap_of_coarse_coins_leaves_no_amount() -> Night:
    world = a_world("0.70", held="20", accuracy=0)
    night = Night(world, policy=with_limits(POLICY, max_add={"BTC": Decimal(1)}))
    await night.cycles(1)
    world.answers = ["lost_request"]
    night.price_for("0.81")
    await night.cycles(12, every_ms=1_000)
    return night


@act
async def a_release_asks_how_much_and_gets_no_answer() -> Night:
    night = Night(a_world("0.35"))
    night.shown.no_maximum = ExchangeUnavailable("the maximum can't be read")
    await night.cycles(10)
    night.shown.no_maximum = None
    await night.cycles(4)
    return night


# Answers that are lost, late or odd


@act
async def answers_are_lost() -> Night:
    night = Night(a_world("0.70", "0.70", pool="0.62"))
    await night.cycles(1)
    for answer in ("lost_answer", "lost_request", "late:3000", "not_sent", "refused_for_now"):
        night.world.answers = [answer]
        night.price_for("0.79")
        await night.cycles(12)
    return night


@act
async def an_answer_is_lost_in_an_emergency() -> Night:
    night = Night(a_world("0.70"))
    await night.cycles(1)
    night.world.answers = ["lost_request"]
    night.price_for("0.83")
    await night.cycles(20, every_ms=1_000)
    return night


@act
async def it_lands_after_it_was_given_up() -> Night:
    night = Night(a_world("0.70", wallet="9"))
    await night.cycles(1)
    night.world.answers = ["late:90000"]
    night.price_for("0.78")
    await night.cycles(20)
    night.world.answers = []
    await night.cycles(60)
    return night


@act
async def somebody_makes_our_very_adjustment() -> Night:
    night = Night(a_world("0.70"))
    await night.cycles(1)
    night.world.answers = ["late:300"]
    night.world.row_lag_ms = 4_000
    night.price_for("0.78")
    await night.cycles(1, every_ms=400)
    ours = night.world.sent[0]
    night.world.move(ONE, Direction.ADD, ours.amount, None)
    await night.cycles(20)
    return night


@act
async def the_exchange_takes_long() -> Night:
    night = Night(a_world("0.60", pool="0.70"))
    await night.cycles(1)
    night.world.answers = ["pending:100000", "failing:30000"]
    night.price_for("0.78", POOL)
    await night.cycles(40, every_ms=5_000)
    night.price_for("0.78", POOL)
    await night.cycles(20, every_ms=5_000)
    return night


@act
async def a_person_resolves_what_is_open() -> Night:
    night = Night(a_world("0.70"))
    await night.cycles(1)
    night.world.answers = ["lost_answer"]
    night.world.row_lag_ms = HOUR_MS
    night.price_for("0.78")
    await night.cycles(30, every_ms=3_000)
    (intent,) = [item for item in night.journal.snapshot().intents.values() if item.is_open]
    await night.journal.resolve(
        intent.intent_id, State.CONFIRMED, night.world.now().exchange_ms, adjust_id="1000", forced=True
    )
    await night.cycles(8, every_ms=3_000)
    return night


@act
async def refusals_teach_amounts_and_coins() -> Night:
    night = Night(a_world("0.70", pool="0.60"))
    await night.cycles(1)
    night.price_for("0.79")
    for remedy in (Remedy.PRECISION, Remedy.SMALLER, Remedy.LARGER, Remedy.COIN, Remedy.GONE):
        night.shown.refusals = [WriteRejected(f"refused: {remedy}", code=148000, remedy=remedy)]
        await night.cycles(6, every_ms=12_000)
        night.price_for("0.79")
    night.shown.refusals = [WriteOutcomeUnknown("odd", code=149999, remedy=Remedy.COIN)]
    await night.cycles(12)
    return night


@act
async def adds_are_refused_as_releases() -> Night:
    night = Night(a_world("0.70"))
    await night.cycles(1)
    night.price_for("0.79")
    night.shown.refusals = [
        WriteRejected("too large a release", code=177010, remedy=Remedy.MAXIMUM) for _ in range(2)
    ]
    await night.cycles(20, every_ms=6_000)
    night.world.move(ONE, Direction.ADD, Decimal("0.01"), None)
    await night.cycles(4)
    return night


@act
async def a_row_says_the_opposite() -> Night:
    night = Night(a_world("0.70"))
    await night.cycles(1)
    night.price_for("0.78")
    await night.cycles(1)
    row = night.world.rows[0]
    odd = replace(row.shown, ltv_before=row.shown.ltv_after, ltv_after=row.shown.ltv_before)
    night.world.rows[0] = replace(row, shown=odd)
    night.world.loans[ONE].collateral -= 2 * row.shown.amount
    night.world.note()
    await night.cycles(6)
    return night


# What is read


@act
async def nothing_can_be_read_for_a_while() -> Night:
    night = Night(a_world("0.60", pool="0.50"))
    await night.cycles(1)
    night.world.orders_down = True
    await night.cycles(1)
    night.world.orders_down = False
    await night.cycles(1)
    night.world.pool_down = True
    await night.cycles(5, every_ms=30_000)
    night.world.pool_down = False
    await night.cycles(2)
    return night


@act
async def histories_fail_and_come_late() -> Night:
    night = Night(a_world("0.70"), max_snapshot_age_ms=400)
    await night.cycles(1)
    night.price_for("0.78")
    await night.cycles(4)
    night.world.history_down = True
    night.price_for("0.77")
    await night.cycles(6)
    night.world.history_down = False
    await night.cycles(4)
    night.shown.history_comes = asyncio.Event()
    night.price_for("0.77")
    await night.cycles(2)
    night.shown.history_comes.set()
    await night.cycles(6)
    night.world.old_rows_ms = 20_000
    night.price_for("0.77")
    await night.cycles(4)
    night.world.old_rows_ms = 0
    await night.cycles(8)
    return night


@act
async def coins_confirm_and_the_history_contradicts() -> Night:
    night = Night(a_world("0.70"))
    await night.cycles(1)
    night.world.history_down = True
    night.price_for("0.78")
    await night.cycles(4)
    night.price_for("0.78")
    await night.cycles(45)
    night.world.history_down = False
    night.world.rows = [
        replace(row, shown=replace(row.shown, status=RowStatus.FAILED)) for row in night.world.rows
    ]
    await night.cycles(6)
    return night


@act
async def the_wallet_does_not_answer() -> Night:
    night = Night(a_world("0.70"))
    await night.cycles(1)
    night.price_for("0.76")
    await night.cycles(8)
    night.world.wallet_down = True
    night.price_for("0.83")
    await night.cycles(8)
    night.price_for("0.76")
    await night.cycles(4)
    night.world.wallet_down = False
    await night.cycles(4)
    night.world.prices_down = True
    night.price_for("0.76")
    await night.cycles(4)
    night.world.prices_down = False
    night.price_for("0.76")
    await night.cycles(4)
    return night


@act
async def the_exchange_shows_what_was() -> Night:
    night = Night(a_world("0.79"))
    await night.cycles(30)
    night.world.stale_ms = 62_000
    await night.cycles(4)
    night.world.stale_ms = 0
    await night.cycles(8)
    return night


@act
async def an_ltv_does_not_follow() -> Night:
    night = Night(a_world("0.70"))
    await night.cycles(1)
    night.price_for("0.79")
    night.world.old_ltv_ms = 60_000
    await night.cycles(25)
    night.world.old_ltv_ms = 0
    await night.cycles(6)
    return night


@act
async def the_exchange_is_slower_than_assumed() -> Night:
    night = Night(a_world("0.70"))
    await night.cycles(1)
    night.world.row_lag_ms = 9_000
    night.price_for("0.79")
    await night.cycles(12)
    night.world.row_lag_ms = 1_500
    night.world.advance(DAY_MS + 60_000)
    night.price_for("0.79")
    await night.cycles(6, every_ms=1_000)
    return night


@act
async def all_loans_take_long_to_read() -> Night:
    night = Night(a_world("0.70", "0.60"))
    await night.cycles(1)
    night.shown.read_takes_ms = 12_000
    await night.cycles(2)
    night.price_for("0.78")
    await night.cycles(3)
    night.shown.read_takes_ms = 0
    await night.cycles(2)
    return night


@act
async def numbers_contradict_each_other() -> Night:
    night = Night(a_world("0.60", "0.65", pool="0.50"))
    await night.cycles(1)
    night.shown.once = {ONE: {"ltv": Decimal("0.90")}}
    await night.cycles(1)
    night.shown.differs = {TWO: {"ltv": Decimal("0.90")}}
    await night.cycles(6, every_ms=15_000)
    night.shown.differs = {}
    await night.cycles(2)
    return night


@act
async def a_price_parts_from_the_last_one() -> Night:
    night = Night(a_world(pool="0.76", wallet="0"))
    await night.cycles(2)
    night.shown.differs = {POOL: {"collateral": _counted_for_a_third}}
    await night.cycles(3, every_ms=4_000)
    night.shown.differs = {}
    await night.cycles(2)
    night.world.wallet["BTC"] = Decimal(5)
    await night.cycles(3)
    return night


def _counted_for_a_third(loan: Loan) -> tuple[Collateral, ...]:
    (held,) = loan.collateral
    return (replace(held, value_usd=(held.value_usd or Decimal(0)) / 3),)


@act
async def rows_are_not_understood() -> Night:
    night = Night(a_world("0.60"))
    await night.cycles(1)
    night.shown.oddities = [
        Oddity(
            endpoint="/v5/account/wallet-balance", row="BTC", why="no number", follows="it counts as unread"
        )
    ]
    await night.cycles(2)
    night.shown.oddities = []
    await night.cycles(1)
    return night


# Loans


@act
async def loans_are_set_aside_limited_and_pulled_in() -> Night:
    night = Night(a_world("0.60", "0.65", pool="0.50"))
    await night.cycles(1)
    night.shown.aside = (SetAside(key=ONE, why="an LTV of many"),)
    await night.cycles(3, every_ms=70_000)
    night.shown.aside = ()
    await night.cycles(1)
    for additions in (Additions.NEARLY_FULL, Additions.REFUSED, Additions.TAKEN):
        night.shown.differs = {POOL: {"additions": additions}}
        await night.cycles(1)
    night.shown.differs = {key: {"margin_call_ltv": Decimal("0.72")} for key in (ONE, TWO)}
    await night.cycles(3)
    night.shown.differs = {}
    await night.cycles(2)
    return night


@act
async def fixed_loans_come_to_their_ends() -> Night:
    night = Night(a_world("0.60", "0.65", "0.94", "0.50"))
    ends_ms = START_MS + 8 * DAY_MS
    night.shown.differs = {ONE: {"expires_at_ms": ends_ms}, TWO: {"expires_at_ms": ends_ms + HOUR_MS}}
    for _ in range(9):
        await night.cycles(1, every_ms=DAY_MS)
    night.shown.ends = {
        ONE: LoanEnd(liquidated=True, words="its status is 3"),
        TWO: LoanEnd(liquidated=False, words="its status is 2"),
        key_of(4): ExchangeUnavailable("the list of ended loans is down"),
    }
    for key in (ONE, TWO, key_of(4)):
        night.world.loans[key].gone = True
        night.world.note()
        await night.cycles(3)
    return night


@act
async def a_loan_vanishes_beside_its_liquidation() -> Night:
    night = Night(a_world("0.94", "0.50", wallet="0"))
    await night.cycles(1)
    night.world.loans[ONE].gone = True
    night.world.note()
    await night.cycles(3)
    return night


# The key, the kill switch, the journal, the process


@act
async def the_key_ends() -> Night:
    night = Night(a_world("0.60"))
    may = replace(
        night.shown.identity, can_withdraw=True, ip_bound=False, expires_at="2023-12-05T00:00:00+00:00"
    )
    ends_ms = START_MS + 20 * DAY_MS
    night.shown.identity = replace(may, expires_at_ms=ends_ms)
    night.start(transfers=TransferRules(enabled=True), may_transfer=True)
    await night.cycles(1)
    for _ in range(20):
        await night.cycles(1, every_ms=DAY_MS)
    night.shown.no_identity = ExchangeUnavailable("no answer")
    await night.cycles(2, every_ms=HOUR_MS)
    night.shown.no_identity = None
    night.shown.identity = replace(may, expires_at_ms=ends_ms + 90 * DAY_MS)
    await night.cycles(3, every_ms=HOUR_MS)
    return night


@act
async def the_key_is_refused() -> Night:
    night = Night(a_world("0.60"))
    await night.cycles(1)
    night.world.answers = ["refused_key"]
    night.price_for("0.79")
    await night.cycles(3, every_ms=20_000)
    night.shown.no_identity = NeedsHuman("the key is no more", code=10003, mend="make a new one")
    await night.cycles(4, every_ms=20_000)
    night.shown.no_identity = None
    await night.cycles(6, every_ms=20_000)
    return night


@act
async def nobody_knows_whose_key_it_is() -> Night:
    night = Night(a_world("0.60"))
    night.shown.no_identity = NeedsHuman("the key is not known", code=10003, mend="look at its files")
    await night.cycles(4, every_ms=20_000)
    night.shown.no_identity = None
    await night.cycles(2)
    return night


@act
async def a_person_pauses_it() -> Night:
    night = Night(a_world("0.60"))
    await night.cycles(1)
    await night.journal.pause(None, "I look at it", START_MS)
    night.price_for("0.79")
    await night.cycles(3, every_ms=61_000)
    await night.journal.resume(None)
    await night.cycles(5)
    return night


@act
async def settings_name_what_is_not_there() -> Night:
    night = Night(a_world("0.60"))
    night.world.prices_down = True
    rules = WalletRules(reserve={"XBT": Decimal(1)})
    night.start(wallet=rules, matches=True)
    await night.cycles(1)
    night.world.prices_down = False
    await night.cycles(3, every_ms=40_000)
    return night


@act
async def the_journal_fails_and_goes_back() -> Night:
    night = Night(a_world("0.60", pool="0.50"))
    await night.cycles(1)
    before = night.journal.snapshot()
    night.price_for("0.79")

    def fails(_: str) -> None:
        raise JournalUnavailable("the disk is full")

    night.journal.on_write = fails
    await night.cycles(2)
    night.journal.on_write = lambda _: None
    await night.cycles(6)
    night.journal.goes_back(before)
    night.price_for("0.79")
    await night.cycles(12)
    return night


@act
async def the_journal_is_of_another_exchange() -> Night:
    night = Night(a_world("0.60"))
    await night.cycles(1)
    night.price_for("0.79")
    await night.cycles(6)
    night.shown.history_lacks = True
    night.start(continuous=False)
    await night.cycles(60)
    night.price_for("0.79")
    await night.cycles(20)
    night.shown.history_lacks = False
    night.price_for("0.79")
    await night.cycles(6)
    return night


@act
async def it_is_killed_in_the_middle() -> Night:
    night = Night(a_world("0.60", "0.55"))
    await night.cycles(1)
    night.world.answers = ["lost_answer"]
    night.price_for("0.79")
    await night.cycles(1, every_ms=200)
    night.start()
    await night.cycles(12)
    contents = night.journal.snapshot()
    last = max(contents.intents.values(), key=lambda item: item.created_at_ms)
    for number, state in enumerate((State.PLANNED, State.SENT), start=1):
        left = replace(
            last, intent_id=f"left{number}", state=State.PLANNED, key=key_of(number), adjust_id=None
        )
        left = replace(left, created_at_ms=night.world.now().exchange_ms, updated_at_ms=left.created_at_ms)
        contents.intents[left.intent_id] = replace(left, state=state)
    night.journal = MemoryJournal(contents)
    night.start()
    await night.cycles(14)
    return night


@act
async def errors_of_ours() -> Night:
    night = Night(a_world("0.60", pool="0.50"))
    await night.cycles(1)
    night.shown.defect_in_prices = True
    night.price_for("0.78")
    await night.cycles(3)
    night.shown.defect_in_prices = False
    new_id, night.new_id = night.new_id, _fails
    await night.cycles(3)
    night.new_id = new_id
    await night.cycles(2)
    return night


def _fails() -> NoReturn:
    raise ZeroDivisionError


@act
async def clocks_part_and_a_host_shuts_us_out() -> Night:
    night = Night(a_world("0.60"))
    for off in (ExchangeUnavailable("no answer"), 40, 5_000, -20):
        night.clock_is_off_ms = off
        await night.look_at_clock()
    heartbeat = Heartbeat(night.journal, "tonight")  # type: ignore[arg-type] # it has what is needed
    heartbeat.banned("api.example", 600)
    await heartbeat._writing.pop()
    return night


# The log of it


def play(name: str) -> list[Line]:
    """What an act logs: every event with its virtual time and fields, but for sentences."""
    heard: list[Line] = []

    def hear(_logger: object, level: str, event: MutableMapping[str, Any]) -> NoReturn:
        heard.append({**event, "level": level, "at_s": _seconds()})
        raise structlog.DropEvent

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, hear],
        wrapper_class=structlog.make_filtering_bound_logger(0),
        cache_logger_on_first_use=False,
    )
    try:
        asyncio.run(_played(ACTS[name]))
    finally:
        structlog.reset_defaults()
    return normalised(name, [line for line in heard if not _is_quiet(line)])


async def _played(act: Act) -> None:
    await (await act()).end()


def _seconds() -> float:
    return (Night.latest.world.true_ms - START_MS) / 1000


def _is_quiet(line: Line) -> bool:
    """A decision that is no news is logged for whoever debugs."""
    return line["event"] == "decision_made" and line["level"] == "debug"


def normalised(name: str, heard: Sequence[Line]) -> list[Line]:
    """Without what chance or a better sentence may change; ids are numbered as they turn up."""
    names: dict[tuple[str, object], str] = {}

    def plain(field: str, value: object) -> object:
        if field in IDS:
            kind = "row" if field == "adjust_id" else "intent"
            return names.setdefault((kind, value), f"{kind} {len(names) + 1}")
        if isinstance(value, Mapping):
            return {str(key): str(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [str(item) for item in value]
        return value if isinstance(value, bool | int | float) else str(value)

    left_out = SENTENCES | CHANCE
    return [
        {
            "act": name,
            **{
                field: plain(field, value)
                for field, value in event.items()
                if field not in left_out and value is not None
            },
        }
        for event in heard
    ]


def folded(lines: Sequence[Line]) -> list[Line]:
    """Lines that say the same one after the other, but for their time, as one."""
    alike = itertools.groupby(lines, key=lambda line: {**line, "at_s": None})
    return [{**next(group), "lines": 1 + sum(1 for _ in group)} for _, group in alike]


def main() -> None:
    """Write the whole night: what `tests/guard/long_night.jsonl` was made with, by the version it names."""
    for name in ACTS:
        for line in folded(play(name)):
            print(json.dumps(line, sort_keys=True))  # noqa: T201 - that is its purpose


if __name__ == "__main__":
    main()
