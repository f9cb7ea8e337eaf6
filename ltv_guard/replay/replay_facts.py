"""What the guard knows when it decides: the core's facts, from the state of a replayed account."""

from __future__ import annotations

from dataclasses import replace

from ltv_guard.core.decide.facts import AccountFacts, LoanFacts
from ltv_guard.core.model.loans import Direction, LoanKey, Moment
from ltv_guard.replay.account_state import AccountState
from ltv_guard.replay.position import Position, Prices


def account_facts(account: AccountState, now_ms: int, prices: Prices) -> AccountFacts:
    """Of all loans that live. What is below its release trigger is noted as such."""
    return AccountFacts(
        loans=tuple(_loan(account, position, now_ms, prices) for position in account.living),
        wallet=dict(account.wallet),
        unified={},
        prices=prices,
        wallet_rules=account.rulebook.wallet,
        transfer_rules=account.rulebook.transfers,
        added_24h=account.flights.spent_24h(Direction.ADD, now_ms),
        repaid_24h=account.flights.spent_24h(Direction.REPAY, now_ms),
        repaid_with_collateral_24h=account.flights.spent_24h(Direction.REPAY, now_ms, with_collateral=True),
    )


def _loan(account: AccountState, position: Position, now_ms: int, prices: Prices) -> LoanFacts:
    key, loan = position.spec.key, position.shown(prices)
    open_now, now = account.flights.of(key, now_ms), at(now_ms)
    facts = LoanFacts(
        loan=loan,
        policy=account.rulebook.policy_for(loan),
        open_intents=open_now,
        window_over=account.flights.window_is_over(key, now_ms),
        rescues=open_now[0].rescues_among(account.flights.rescued.values()) if open_now else (),
        settling=bool(open_now),
        episode_open=account.is_in_rescue(key),
        rested_ms=_rested_ms(account, key, now_ms),
        refused=account.refusals.refused(key, Direction.ADD, now),
        shunned=account.refusals.shunned(key, Direction.ADD, now),
    )
    if loan.ltv >= facts.urgency.limits.release_trigger:
        account.low_since.pop(key, None)
        return facts
    return replace(facts, low_for_ms=now_ms - account.low_since.setdefault(key, now_ms))


def at(now_ms: int) -> Moment:
    """The exchange's clock, which is the only one here."""
    return Moment(exchange_ms=now_ms, monotonic_ms=now_ms)


def _rested_ms(account: AccountState, key: LoanKey, now_ms: int) -> int | None:
    rescue = account.rescues.get(key)
    ends = (account.flights.last_release_ms(key), None if rescue is None else rescue.closed_ms)
    known = [end for end in ends if end is not None]
    return now_ms - max(known) if known else None
