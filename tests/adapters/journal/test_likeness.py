"""The memory journal answers as SQLite does, whatever is asked of both; and storing changes no intent."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from held_intents import intent_in
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ltv_guard.adapters.journal import MemoryJournal, SqlJournal, open_journal
from ltv_guard.adapters.journal.records import intent_of, row_of
from ltv_guard.core.model.errors import GuardError
from ltv_guard.core.model.intents import TRANSITIONS, Intent, State
from ltv_guard.core.model.loans import Direction, LoanKey, Owner, Product

Journal = MemoryJournal | SqlJournal
Plan = Callable[..., Intent]
IDS = [f"i{number}" for number in range(4)]
ACCOUNTS = [None, "main", "other"]

numbers = st.decimals(min_value=0, allow_nan=False, allow_infinity=False)
times = st.integers(min_value=0, max_value=2**53)
# What is no clean text is stored escaped: test_journal.
unclean = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
words = st.text(st.characters(codec="utf-8", exclude_categories=unclean), max_size=20)
intents = st.builds(
    Intent,
    intent_id=words,
    owner=st.builds(Owner, words, words),
    account=words,
    key=st.builds(LoanKey, st.sampled_from(Product), words),
    direction=st.sampled_from(Direction),
    coin=words,
    amount=numbers.filter(lambda amount: amount > 0),
    state=st.sampled_from(State),
    reason=words,
    coins_before=numbers,
    ltv_before=numbers,
    observed_at_ms=times,
    seen_ids=st.frozensets(words),
    created_at_ms=times,
    updated_at_ms=times,
    rescue_of=st.none() | words,
    signed_at_ms=st.none() | times,
    recv_window_ms=st.none() | times,
    adjust_id=st.none() | words,
    ret_code=st.none() | st.integers(-(2**31), 2**31),
    ret_msg=st.none() | words,
    ltv_after=st.none() | numbers,
)

steps = st.lists(
    st.tuples(st.just("plan"), st.sampled_from(IDS), st.sampled_from("AB"), st.sampled_from([None, *IDS]))
    | st.tuples(st.just("send"), st.sampled_from(IDS))
    | st.tuples(st.just("send at once"), st.sampled_from(IDS), st.sampled_from("AB"))
    | st.tuples(
        st.just("record"),
        st.sampled_from(IDS),
        st.sampled_from(State),
        st.sampled_from(State),
        st.sampled_from([None, "7", "8"]),
    )
    | st.tuples(st.just("resolve"), st.sampled_from(IDS), st.sampled_from([State.CONFIRMED, State.ABSENT]))
    | st.tuples(st.just("pause"), st.sampled_from(ACCOUNTS))
    | st.tuples(st.just("resume"), st.sampled_from(ACCOUNTS)),
    min_size=8,
    max_size=20,
)


@given(intents)
def test_an_intent_survives_its_row(intent: Intent) -> None:
    assert intent_of(row_of(intent)) == intent


@given(steps)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_memory_and_sqlite_answer_alike(planned: Plan, steps: list[tuple[Any, ...]]) -> None:
    assert asyncio.run(story(planned, steps, "memory")) == asyncio.run(story(planned, steps, "sqlite"))


async def story(planned: Plan, steps: list[tuple[Any, ...]], kind: str) -> list[Any]:
    """What a journal answers to each step, and what it holds at the end."""
    with tempfile.TemporaryDirectory() as folder:
        journal: Journal = MemoryJournal()
        if kind == "sqlite":
            journal = await open_journal(f"sqlite:///{folder}/journal.db")
        told = [await answer(journal, planned, *step) for step in steps]
        told += [await journal.list_intents(), await journal.pauses()]
        told += [
            await journal.open_intents(planned().owner),
            await journal.recent_intents(planned().owner, 5),
            await journal.standing(planned().owner),
        ]
        await journal.close()
        return told


async def answer(journal: Journal, planned: Plan, name: str, *details: Any) -> Any:  # noqa: ANN401
    try:
        return await STEPS[name](journal, planned, *details)
    except GuardError as error:
        return type(error)


async def plan(journal: Journal, planned: Plan, name: str, loan: str, rescue_of: str | None) -> None:
    if await intent_in(journal, name) is not None:
        return  # one id for two intents is refused, but which rule refuses it is each database's own
    await journal.plan(planned(name, loan=loan, rescue_of=rescue_of, amount=Decimal(name[1:]) + 1))


async def send(journal: Journal, planned: Plan, name: str) -> bool:
    held = await intent_in(journal, name) or planned(name)
    return await journal.mark_sent(held if held.state is State.SENT else held.to(State.SENT, 9))


async def send_at_once(journal: Journal, planned: Plan, name: str, loan: str) -> bool:
    if await intent_in(journal, name) is not None:
        return False  # as above
    return await journal.write_sent(planned(name, loan=loan).to(State.SENT, 9))


async def record(
    journal: Journal, planned: Plan, name: str, before: State, after: State, adjust_id: str | None
) -> None:
    held = await intent_in(journal, name) or planned(name)
    changes = {"adjust_id": adjust_id} if after in {State.ACCEPTED, State.CONFIRMED} else {}
    if after in TRANSITIONS[held.state]:
        before = held.state
    if after in TRANSITIONS[before]:
        from_there = replace(held, state=before)
        await journal.record(from_there, from_there.to(after, 10, **changes))


async def resolve(journal: Journal, planned: Plan, name: str, state: State) -> Intent:
    return await journal.resolve(name, state, 1_000_000, forced=True)


async def pause(journal: Journal, planned: Plan, account: str | None) -> None:
    await journal.pause(account, "because", 12)


async def resume(journal: Journal, planned: Plan, account: str | None) -> bool:
    return await journal.resume(account)


STEPS: dict[str, Callable[..., Any]] = {
    "plan": plan,
    "send": send,
    "send at once": send_at_once,
    "record": record,
    "resolve": resolve,
    "pause": pause,
    "resume": resume,
}
