"""What every journal promises, whatever it is kept in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from held_intents import intent_in

from ltv_guard.adapters.journal import Ban, MemoryJournal, SqlJournal, open_journal
from ltv_guard.core.model.errors import AlreadyOpen, ImpossibleTransition, JournalUnavailable
from ltv_guard.core.model.intents import SHOWN, Intent, State
from ltv_guard.core.model.loans import Direction, LoanKey, Moment, Owner, Product
from ltv_guard.core.ports import Episode, Pause, Standing
from ltv_guard.core.reconcile.coin_changes import confirmed_by_coins

Journal = MemoryJournal | SqlJournal
Plan = Callable[..., Intent]
Send = Callable[[Intent], Intent]

EARLY, LATE = 1_000, 2_000


async def closed(journal: Journal, intent: Intent) -> None:
    await journal.plan(intent)
    await journal.record(intent, intent.to(State.WITHDRAWN, LATE))


async def unknown(journal: Journal, intent: Intent, sent: Send) -> Intent:
    await journal.plan(intent)
    assert await journal.mark_sent(sent(intent))
    lost = sent(intent).to(State.UNKNOWN, LATE)
    await journal.record(sent(intent), lost)
    return lost


async def test_an_intent_is_read_back_exactly_as_it_was_written(journal: Journal, planned: Plan) -> None:
    intent = planned(
        amount=Decimal("0.00000001"),
        coins_before=Decimal("123456789012345678901234567890.123456789"),
        ltv_before=Decimal("7E-9"),
        direction=Direction.REDUCE,
        key=LoanKey(Product.CRYPTO_LOAN, "pool"),
        seen_ids=frozenset(),
        reason="Überschuss, 超过",
    )
    await journal.plan(intent)
    held = await intent_in(journal, "one")
    assert held == intent
    assert str(held.amount) == "1E-8"


async def test_every_field_of_a_settled_intent_is_kept(journal: Journal, planned: Plan, sent: Send) -> None:
    lost = await unknown(journal, planned(), sent)
    landed = lost.to(
        State.CONFIRMED,
        LATE,
        adjust_id="77",
        ret_code=10000,
        ret_msg="Server Timeout",
        ltv_after=Decimal("0.6499"),
    )
    await journal.record(lost, landed)
    assert await intent_in(journal, "one") == landed


async def test_a_loan_has_one_open_intent(journal: Journal, planned: Plan) -> None:
    await journal.plan(planned("one", loan="A"))
    with pytest.raises(AlreadyOpen):
        await journal.plan(planned("two", loan="A", direction=Direction.REDUCE))
    assert await intent_in(journal, "two") is None


async def test_a_renamed_account_does_not_get_a_second_open_intent(journal: Journal, planned: Plan) -> None:
    await journal.plan(planned("one", loan="A"))
    with pytest.raises(AlreadyOpen):
        await journal.plan(planned("two", loan="A", account="renamed"))


@pytest.mark.parametrize(
    "other",
    [
        {"loan": "B"},
        {"loan": "A", "owner": Owner("testnet", "4712")},
        {"loan": "A", "owner": Owner("mainnet", "4711")},
        {"key": LoanKey(Product.CRYPTO_LOAN, "A")},
    ],
    ids=["another loan", "another user", "another environment", "another product"],
)
async def test_an_open_intent_blocks_only_its_own_loan(
    journal: Journal, planned: Plan, other: dict[str, object]
) -> None:
    await journal.plan(planned("one", loan="A"))
    await journal.plan(planned("two", **other))
    assert len(await journal.list_intents()) == 2


async def test_a_closed_intent_frees_its_loan(journal: Journal, planned: Plan) -> None:
    await closed(journal, planned("one", loan="A"))
    await journal.plan(planned("two", loan="A"))


async def test_of_many_plans_at_once_for_a_loan_one_is_written(journal: Journal, planned: Plan) -> None:
    plans = [journal.plan(planned(f"{number}", loan="A")) for number in range(10)]
    results = await asyncio.gather(*plans, return_exceptions=True)
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, AlreadyOpen) for result in results) == 9


async def test_an_intent_is_written_once(journal: Journal, planned: Plan) -> None:
    await closed(journal, planned("one"))
    with pytest.raises(JournalUnavailable, match="one"):
        await journal.plan(planned("one", loan="another"))


async def test_only_what_is_planned_can_be_planned(journal: Journal, planned: Plan) -> None:
    with pytest.raises(ImpossibleTransition):
        await journal.plan(planned(state=State.UNKNOWN))


async def test_a_rescue_goes_beside_the_intent_it_rescues(
    journal: Journal, planned: Plan, sent: Send
) -> None:
    await unknown(journal, planned("first", loan="A"), sent)
    await journal.plan(planned("rescue", loan="A", rescue_of="first"))
    assert len(await journal.open_intents(planned().owner)) == 2


async def test_an_intent_has_one_rescue_ever(journal: Journal, planned: Plan, sent: Send) -> None:
    await unknown(journal, planned("first", loan="A"), sent)
    await closed(journal, planned("rescue", loan="A", rescue_of="first"))
    with pytest.raises(AlreadyOpen):
        await journal.plan(planned("again", loan="A", rescue_of="first"))


async def test_a_loan_has_one_open_rescue(journal: Journal, planned: Plan, sent: Send) -> None:
    await closed(journal, planned("zeroth", loan="A"))
    await unknown(journal, planned("first", loan="A"), sent)
    await journal.plan(planned("rescue", loan="A", rescue_of="first"))
    with pytest.raises(AlreadyOpen):
        await journal.plan(planned("second rescue", loan="A", rescue_of="zeroth"))


async def test_no_intent_rescues_itself_not_even_beside_a_rescue(
    journal: Journal, planned: Plan, sent: Send
) -> None:
    await unknown(journal, planned("first", loan="A"), sent)
    await journal.plan(planned("rescue", loan="A", rescue_of="first"))
    with pytest.raises(JournalUnavailable):
        await journal.plan(planned("itself", loan="A", rescue_of="itself"))


async def test_a_rescue_of_nothing_is_refused(journal: Journal, planned: Plan) -> None:
    with pytest.raises(JournalUnavailable, match="does not hold"):
        await journal.plan(planned(rescue_of="never written"))


async def test_an_intent_does_not_rescue_itself(journal: Journal, planned: Plan) -> None:
    with pytest.raises(JournalUnavailable):
        await journal.plan(planned(rescue_of="one"))


async def test_what_is_planned_is_marked_sent_once(journal: Journal, planned: Plan, sent: Send) -> None:
    await journal.plan(planned())
    assert await journal.mark_sent(sent(planned()))
    with pytest.raises(JournalUnavailable, match="as sent"):
        await journal.mark_sent(sent(planned()))
    assert await intent_in(journal, "one") == sent(planned())


async def test_what_was_never_planned_cannot_be_sent(journal: Journal, planned: Plan, sent: Send) -> None:
    with pytest.raises(JournalUnavailable):
        await journal.mark_sent(sent(planned()))


async def test_what_waits_for_nothing_is_written_as_sent_at_once(
    journal: Journal, planned: Plan, sent: Send
) -> None:
    assert await journal.write_sent(sent(planned()))
    assert await intent_in(journal, "one") == sent(planned())
    assert await journal.open_intents(planned().owner) == (sent(planned()),)
    with pytest.raises(JournalUnavailable):
        await journal.write_sent(sent(planned(loan="another")))


async def test_what_is_written_as_sent_at_once_obeys_every_rule_of_a_plan(
    journal: Journal, planned: Plan, sent: Send
) -> None:
    assert await journal.write_sent(sent(planned("first", loan="A")))
    with pytest.raises(AlreadyOpen):
        await journal.write_sent(sent(planned("two", loan="A")))
    assert await journal.write_sent(sent(planned("rescue", loan="A", rescue_of="first")))
    with pytest.raises(AlreadyOpen):
        await journal.write_sent(sent(planned("again", loan="A", rescue_of="first")))
    with pytest.raises(JournalUnavailable, match="does not hold"):
        await journal.write_sent(sent(planned("three", rescue_of="never written")))
    with pytest.raises(ImpossibleTransition):
        await journal.write_sent(planned("four"))
    assert {intent.intent_id for intent in await journal.list_intents()} == {"first", "rescue"}


@pytest.mark.parametrize("account", [None, "main"])
async def test_a_pause_keeps_an_intent_from_being_written_as_sent(
    journal: Journal, planned: Plan, sent: Send, account: str | None
) -> None:
    await journal.pause(account, "holiday", EARLY)
    assert not await journal.write_sent(sent(planned()))
    assert await journal.list_intents() == ()
    assert await journal.write_sent(sent(planned(account="savings"))) == (account is not None)
    assert await journal.resume(account)
    assert await journal.write_sent(sent(planned("two")))


async def test_of_many_written_as_sent_at_once_for_a_loan_one_is(
    journal: Journal, planned: Plan, sent: Send
) -> None:
    writes = [journal.write_sent(sent(planned(f"{number}", loan="A"))) for number in range(10)]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(result is True for result in results) == 1
    assert sum(isinstance(result, AlreadyOpen) for result in results) == 9


async def test_no_way_to_sent_leads_past_the_kill_switch(journal: Journal, planned: Plan, sent: Send) -> None:
    await journal.plan(planned())
    with pytest.raises(ImpossibleTransition):
        await journal.record(planned(), sent(planned()))
    with pytest.raises(ImpossibleTransition):
        await journal.mark_sent(planned())


@pytest.mark.parametrize("account", [None, "main"])
async def test_a_pause_keeps_a_planned_intent_from_being_sent(
    journal: Journal, planned: Plan, sent: Send, account: str | None
) -> None:
    await journal.plan(planned())
    await journal.pause(account, "holiday", EARLY)
    assert not await journal.mark_sent(sent(planned()))
    assert await intent_in(journal, "one") == planned()
    assert await journal.resume(account)
    assert await journal.mark_sent(sent(planned()))


async def test_a_pause_of_one_account_leaves_the_others(journal: Journal, planned: Plan, sent: Send) -> None:
    await journal.plan(planned())
    await journal.pause("savings", "holiday", EARLY)
    assert await journal.mark_sent(sent(planned()))


async def test_resuming_one_account_does_not_lift_the_pause_for_all(
    journal: Journal, planned: Plan, sent: Send
) -> None:
    await journal.plan(planned())
    await journal.pause(None, "audit", EARLY)
    await journal.pause("main", "holiday", EARLY)
    assert await journal.resume("main")
    assert not await journal.mark_sent(sent(planned()))
    assert await journal.pauses() == (Pause(account=None, reason="audit", since_ms=EARLY),)


async def test_a_pause_with_an_end_is_lifted_then_and_no_other(
    journal: Journal, planned: Plan, sent: Send
) -> None:
    await journal.remember_ban("api.bybit.com", LATE, EARLY)
    await journal.pause("main", "an hour", EARLY, until_ms=LATE)
    await journal.pause(None, "by hand", EARLY)
    assert {item.account: item.until_ms for item in await journal.pauses()} == {"main": LATE, None: None}
    assert not await journal.lift_pauses(LATE - 1)
    assert await journal.lift_pauses(LATE)
    assert [item.account for item in await journal.pauses()] == [None]
    assert [item.host for item in await journal.bans()] == ["api.bybit.com"]
    assert await journal.resume(None)
    assert await journal.write_sent(sent(planned()))


async def test_a_pause_that_is_pulled_anew_has_the_new_end_or_none(journal: Journal) -> None:
    await journal.pause("main", "an hour", EARLY, until_ms=LATE)
    await journal.pause("main", "for good", EARLY)
    assert not await journal.lift_pauses(LATE)
    await journal.pause("main", "longer", EARLY, until_ms=LATE + 1)
    assert not await journal.lift_pauses(LATE)
    assert [item.reason for item in await journal.pauses()] == ["longer"]
    await journal.resume("main")
    await journal.pause("main", "for good", EARLY)
    assert not await journal.lift_pauses(LATE + 1)


async def test_a_pause_does_not_stop_settlement(journal: Journal, planned: Plan, sent: Send) -> None:
    lost = await unknown(journal, planned(), sent)
    await journal.pause(None, "audit", EARLY)
    await journal.record(lost, lost.to(State.ABSENT, LATE))


async def test_resuming_what_is_not_paused_says_so(journal: Journal) -> None:
    assert not await journal.resume("main")


async def test_a_transition_from_another_state_than_the_journal_holds_is_refused(
    journal: Journal, planned: Plan, sent: Send
) -> None:
    lost = await unknown(journal, planned(), sent)
    with pytest.raises(JournalUnavailable, match="as unknown, not as sent"):
        await journal.record(sent(planned()), sent(planned()).to(State.ACCEPTED, LATE, adjust_id="7"))
    assert await intent_in(journal, "one") == lost


async def test_an_adjust_id_is_claimed_by_one_intent(journal: Journal, planned: Plan, sent: Send) -> None:
    first = await unknown(journal, planned("first"), sent)
    second = await unknown(journal, planned("second"), sent)
    await journal.record(first, first.to(State.CONFIRMED, LATE, adjust_id="77"))
    with pytest.raises(JournalUnavailable, match="adjust_id 77"):
        await journal.record(second, second.to(State.CONFIRMED, LATE, adjust_id="77"))
    assert await intent_in(journal, "second") == second


@pytest.mark.parametrize(
    "other",
    [{"owner": Owner("testnet", "4712")}, {"key": LoanKey(Product.CRYPTO_LOAN, "pool")}],
    ids=["another user", "another product"],
)
async def test_adjust_ids_are_told_apart_by_user_and_product(
    journal: Journal, planned: Plan, sent: Send, other: dict[str, object]
) -> None:
    for intent in (planned("first"), planned("second", **other)):
        lost = await unknown(journal, intent, sent)
        await journal.record(lost, lost.to(State.CONFIRMED, LATE, adjust_id="77"))


async def test_an_add_that_its_coins_confirmed_is_read_as_one_whose_row_is_awaited(
    journal: Journal, planned: Plan, sent: Send
) -> None:
    accepted = sent(planned()).to(State.ACCEPTED, LATE, adjust_id="77")
    confirmed = confirmed_by_coins(accepted, Moment(exchange_ms=LATE, monotonic_ms=0))
    assert confirmed.awaits_row
    await journal.plan(planned())
    await journal.mark_sent(sent(planned()))
    await journal.record(sent(planned()), accepted)
    await journal.record(accepted, confirmed)
    assert await intent_in(journal, "one") == confirmed


async def test_no_words_tell_that_a_row_is_awaited(journal: Journal, planned: Plan, sent: Send) -> None:
    await journal.plan(planned())
    await journal.mark_sent(sent(planned()))
    accepted = sent(planned()).to(State.ACCEPTED, LATE, adjust_id="77", ret_msg=SHOWN)
    await journal.record(sent(planned()), accepted)
    assert await intent_in(journal, "one") == accepted
    confirmed = accepted.to(State.CONFIRMED, LATE, ret_msg="in other words", awaits_row=True)
    await journal.record(accepted, confirmed)
    assert await intent_in(journal, "one") == confirmed


async def test_words_of_the_exchange_that_no_database_takes_are_still_recorded(
    journal: Journal, planned: Plan, sent: Send
) -> None:
    await journal.plan(planned())
    await journal.mark_sent(sent(planned()))
    refused = sent(planned()).to(State.REJECTED, LATE, ret_code=10001, ret_msg="bad\x00 \ud83d amount")
    await journal.record(sent(planned()), refused)
    held = await intent_in(journal, "one")
    assert held is not None
    assert held.state is State.REJECTED
    assert held.ret_msg is not None
    assert "amount" in held.ret_msg


FOREIGN = "bad\x00 \ud83d \x1b[31m \u202eamount\nnext \x7f"


async def test_whatever_is_written_down_is_clean_text_of_bounded_length(
    url: str, planned: Plan, sent: Send
) -> None:
    journal = await open_journal(url)
    before = planned(reason=FOREIGN)
    await journal.plan(before)
    await journal.mark_sent(sent(before))
    told = {"ret_code": 10**30, "ret_msg": FOREIGN * 100_000, "adjust_id": FOREIGN * 100}
    await journal.record(sent(before), sent(before).to(State.ACCEPTED, LATE, **told))
    await journal.pause("main", FOREIGN * 1_000, 1)
    held = await intent_in(journal, "one")
    (pause,) = await journal.pauses()
    await journal.close()
    assert held is not None
    for words in (held.reason, held.ret_msg, held.adjust_id, pause.reason):
        assert words is not None
        assert words.isprintable()
        assert words.startswith("bad\\u0000 \\ud83d \\u001b[31m \\u202eamount\\u000anext")
        assert len(words) <= 2_000
    assert held.ret_code is None
    assert held.state is State.ACCEPTED


async def test_open_intents_are_those_of_the_owner(journal: Journal, planned: Plan, sent: Send) -> None:
    await closed(journal, planned("closed"))
    await journal.plan(planned("foreign", owner=Owner("testnet", "4712")))
    lost = await unknown(journal, planned("unknown"), sent)
    fresh = planned("fresh", created_at_ms=3_000, updated_at_ms=3_000)
    await journal.plan(fresh)
    assert await journal.open_intents(fresh.owner) == (lost, fresh)


async def test_recent_intents_were_created_or_updated_since(journal: Journal, planned: Plan) -> None:
    old = planned("old", created_at_ms=1_000, updated_at_ms=1_000)
    updated = planned("updated", created_at_ms=1_001, updated_at_ms=5_000)
    backwards = planned("clock set back", created_at_ms=5_000, updated_at_ms=1_000)
    for intent in (old, updated, backwards):
        await journal.plan(intent)
    assert await journal.recent_intents(old.owner, 5_000) == (updated, backwards)
    assert await journal.recent_intents(Owner("testnet", "other"), 0) == ()


async def test_intents_are_listed_newest_first(journal: Journal, planned: Plan) -> None:
    for number, name in enumerate(("first", "second", "third")):
        await journal.plan(planned(name, created_at_ms=number))
    assert [intent.intent_id for intent in await journal.list_intents()] == ["third", "second", "first"]
    assert [intent.intent_id for intent in await journal.list_intents(2)] == ["third", "second"]


@pytest.mark.parametrize("verdict", [State.CONFIRMED, State.ABSENT])
async def test_a_person_can_say_how_an_unknown_intent_ended(
    journal: Journal, planned: Plan, sent: Send, verdict: State
) -> None:
    await unknown(journal, planned(), sent)
    after = await journal.resolve("one", verdict, 20_000, forced=True)
    assert after.state is verdict
    assert await intent_in(journal, "one") == after


async def test_a_person_cannot_reopen_or_overrule_what_is_certain(journal: Journal, planned: Plan) -> None:
    await closed(journal, planned())
    with pytest.raises(ImpossibleTransition):
        await journal.resolve("one", State.CONFIRMED, 9_000)


async def test_resolving_an_intent_that_does_not_exist_says_so(journal: Journal) -> None:
    with pytest.raises(JournalUnavailable, match="no intent nobody"):
        await journal.resolve("nobody", State.ABSENT, 9_000)


@pytest.mark.parametrize(
    "written",
    ["1F0E", "1f0e2d3c-4b5a", "selfTransfer_1f0e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", " 1f0e2d3c4b5a "],
)
async def test_an_id_is_found_as_a_person_writes_it(
    url: str, planned: Plan, sent: Send, written: str
) -> None:
    journal = await open_journal(url)
    for name in ("1f0e2d3c4b5a69788796a5b4c3d2e1f0", "1e0e2d3c4b5a69788796a5b4c3d2e1f0"):
        await unknown(journal, planned(name), sent)
    after = await journal.resolve(written, State.ABSENT, 20_000)
    assert after.intent_id == "1f0e2d3c4b5a69788796a5b4c3d2e1f0"
    with pytest.raises(
        JournalUnavailable, match=r"more than one intent begins with 1: 1.*, 1.* more of the id"
    ):
        await journal.resolve("1", State.ABSENT, 20_000)
    for nobody in ("", " ", "-", "%", "2"):
        with pytest.raises(JournalUnavailable, match="holds no intent"):
            await journal.resolve(nobody, State.ABSENT, 20_000)
    await journal.close()


async def test_a_row_that_another_intent_has_is_not_named_twice(
    journal: Journal, planned: Plan, sent: Send
) -> None:
    for name in ("one", "two"):
        await unknown(journal, planned(name), sent)
    await journal.resolve("one", State.CONFIRMED, 20_000, adjust_id="77")
    with pytest.raises(JournalUnavailable, match="another intent of that user has claimed it"):
        await journal.resolve("two", State.CONFIRMED, 20_000, adjust_id="77")


async def test_each_loan_has_its_latest_episode(journal: Journal, owner: Owner) -> None:
    one, other = LoanKey(Product.LEGACY, "A"), LoanKey(Product.LEGACY, "B")
    await journal.write_episodes(owner, [Episode(key=one, opened_at_ms=1)])
    await journal.write_episodes(owner, [Episode(key=one, opened_at_ms=1, closed_at_ms=2)])
    await journal.write_episodes(owner, [Episode(key=other, opened_at_ms=1, closed_at_ms=2)])
    await journal.write_episodes(owner, [Episode(key=other, opened_at_ms=3)])
    await journal.write_episodes(Owner("testnet", "other"), [Episode(key=one, opened_at_ms=9)])
    episodes = sorted(await journal.episodes(owner), key=lambda episode: episode.key)
    assert episodes == [
        Episode(key=one, opened_at_ms=1, closed_at_ms=2),
        Episode(key=other, opened_at_ms=3),
    ]


async def test_what_is_marked_sent_has_its_episode_written_with_it(
    journal: Journal, planned: Plan, sent: Send, owner: Owner
) -> None:
    one, two = (Episode(key=planned(loan=loan).key, opened_at_ms=1) for loan in "AB")
    await journal.plan(planned("one", loan="A"))
    assert await journal.mark_sent(sent(planned("one", loan="A")), one)
    assert await journal.episodes(owner) == (one,)
    assert await journal.write_sent(sent(planned("two", loan="B")), two)
    assert sorted(await journal.episodes(owner), key=lambda episode: episode.key) == [one, two]


async def test_what_is_not_marked_sent_has_no_episode_written_either(
    journal: Journal, planned: Plan, sent: Send, owner: Owner
) -> None:
    episode = Episode(key=planned().key, opened_at_ms=1)
    await journal.plan(planned("one", loan="A"))
    with pytest.raises(AlreadyOpen):
        await journal.write_sent(sent(planned("two", loan="A")), episode)
    await journal.pause(None, "holiday", EARLY)
    assert not await journal.mark_sent(sent(planned("one", loan="A")), episode)
    assert not await journal.write_sent(sent(planned("three", loan="B")), episode)
    assert await journal.episodes(owner) == ()


async def test_one_read_tells_all_that_bears_on_a_cycle(
    journal: Journal, planned: Plan, sent: Send, owner: Owner
) -> None:
    assert await journal.standing(owner) == Standing()
    one, two = planned("one"), planned("two", loan="other")
    for item in (one, two):
        await journal.plan(item)
    over = sent(two)
    await journal.mark_sent(over)
    await journal.record(over, over.to(State.REJECTED, 3))
    episode = Episode(key=one.key, opened_at_ms=1, closed_at_ms=2)
    await journal.write_episodes(owner, [episode])
    await journal.write_episodes(Owner("testnet", "other"), [episode])
    await journal.pause("main", "holiday", EARLY)
    pauses = await journal.pauses()
    assert await journal.standing(owner) == Standing(open_intents=(one,), episodes=(episode,), pauses=pauses)
    assert await journal.standing(Owner("testnet", "third")) == Standing(pauses=pauses)


async def test_a_run_acknowledges_a_pause_once(journal: Journal) -> None:
    await journal.begin_run("run", EARLY)
    await journal.pause("main", "holiday", EARLY)
    assert (await journal.runs())[0].acknowledged == frozenset()
    assert await journal.acknowledge_pauses("run", LATE) == (
        Pause(account="main", reason="holiday", since_ms=EARLY),
    )
    assert await journal.acknowledge_pauses("run", LATE + 1) == ()
    (run,) = await journal.runs()
    assert (run.acknowledged, run.alive_at_ms, run.ended_at_ms) == (frozenset({"main"}), LATE + 1, None)


async def test_a_pause_that_is_renewed_or_lifted_is_no_longer_acknowledged(journal: Journal) -> None:
    await journal.begin_run("run", EARLY)
    for account in (None, "main"):
        await journal.pause(account, "holiday", EARLY)
    await journal.acknowledge_pauses("run", EARLY)
    await journal.pause(None, "audit", LATE)
    await journal.resume("main")
    assert (await journal.runs())[0].acknowledged == frozenset()
    assert await journal.acknowledge_pauses("run", LATE) == (
        Pause(account=None, reason="audit", since_ms=LATE),
    )


async def test_a_run_that_has_ended_is_known_as_ended(journal: Journal) -> None:
    await journal.begin_run("run", EARLY)
    await journal.end_run("run", LATE)
    assert (await journal.runs())[0].ended_at_ms == LATE


async def test_runs_that_fell_silent_a_day_ago_are_forgotten(journal: Journal) -> None:
    day = 24 * 3600 * 1000
    await journal.begin_run("old", 0)
    await journal.begin_run("recent", day)
    await journal.begin_run("now", day + 1)
    assert [run.run_id for run in await journal.runs()] == ["recent", "now"]


async def test_a_run_that_was_forgotten_too_early_comes_back(journal: Journal) -> None:
    await journal.pause(None, "audit", EARLY)
    await journal.acknowledge_pauses("asleep for a day", LATE)
    (run,) = await journal.runs()
    assert (run.run_id, run.acknowledged) == ("asleep for a day", frozenset({None}))


async def test_the_latest_ban_of_each_host_is_remembered(journal: Journal) -> None:
    await journal.remember_ban("api.bybit.com", 10_000, 1)
    await journal.remember_ban("api.bybit.com", 9_000, 2)
    await journal.remember_ban("api.bybit.nl", 5_000, 3)
    assert await journal.bans() == (
        Ban(host="api.bybit.com", until_ms=9_000, set_at_ms=2),
        Ban(host="api.bybit.nl", until_ms=5_000, set_at_ms=3),
    )


async def test_an_empty_journal_is_new_and_not_continuous(journal: Journal, owner: Owner) -> None:
    assert journal.is_new
    assert not journal.is_continuous
    assert await journal.open_intents(owner) == ()


async def test_a_claim_can_be_made_twice_by_its_holder(
    journal: Journal, owner: Owner, planned: Plan, sent: Send
) -> None:
    await journal.claim(owner)
    await journal.claim(owner)
    await journal.plan(planned())
    assert await journal.mark_sent(sent(planned()))
    await journal.record(sent(planned()), replace(sent(planned()), state=State.UNKNOWN))
