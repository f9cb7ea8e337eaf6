"""What a running daemon sees, put together when somebody asks: the cycles do nothing for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import partial

from ltv_guard import __version__
from ltv_guard.adapters.settings import Settings
from ltv_guard.core.amounts.falls import fall_to
from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loans import LoanKey
from ltv_guard.core.model.status import AccountStatus, AlertStatus, Counts, Health, LoanStatus, Status
from ltv_guard.guard import sentences
from ltv_guard.guard.snapshot import CycleResult
from ltv_guard.log.alert_repeater import Alert, AlertRepeater
from ltv_guard.service.heartbeat import wall_ms
from ltv_guard.service.latest import Latest
from ltv_guard.service.notify.alarms import id_of
from ltv_guard.service.wiring import Wiring

MS = 1000
LASTS_S = 60.0  # beyond two polls: so long after it was last found an alert counts as over
NAMES = ("account", "product", "loan_id")


def status_of(
    settings: Settings, wiring: Wiring, latest: Latest, health: Health, alerts: AlertRepeater
) -> Status:
    """All of it, now; on the loop. `alerts` are the daemon's own: those of accounts are their guards'."""
    return Status(
        at_ms=wall_ms(),
        version=__version__,
        mode=settings.mode,
        environment=settings.exchange.environment,
        exchange=settings.exchange.rest_url,
        health=health,
        accounts=tuple(_account(name, settings, wiring, latest, health) for name in wiring.guards),
        alerts=alerts_of(settings, wiring, alerts),
        clock_offset_ms=wiring.clock.wall_skew_ms if wiring.clock.is_trusted else 0,
        banned_s=wiring.ban.remaining_s,
        held_s=wiring.host.address.held_s,
        requests_left=wiring.host.address.room,
        uses_stream=wiring.stream is not None,
        prices=_prices(wiring),
    )


def alerts_of(settings: Settings, wiring: Wiring, alerts: AlertRepeater) -> tuple[AlertStatus, ...]:
    """What is critical and lasts: of the daemon, and of each account."""
    within_ms = int((2 * float(settings.schedule.poll_interval_s) + LASTS_S) * MS)
    of_guards = [(name, guard.alerts) for name, guard in wiring.guards.items()]
    return tuple(
        _alert(alert, lasted_ms, name)
        for name, repeater in ((None, alerts), *of_guards)
        for alert, lasted_ms in repeater.lasting(within_ms)
    )


def take_note(wiring: Wiring, alerts: AlertRepeater, is_noted: Callable[[str], bool]) -> list[str]:
    """What has happened, and a person knows of, is shown no longer: by its id, as `id_of` has it."""
    found: list[str] = []
    for name, repeater in ((None, alerts), *((name, guard.alerts) for name, guard in wiring.guards.items())):
        noted = repeater.noted(lambda alert, name=name: is_noted(id_of(_alert(alert, 0, name))))  # type: ignore[misc]
        found += [id_of(_alert(alert, 0, name)) for alert in noted]
    return found


def _account(name: str, settings: Settings, wiring: Wiring, latest: Latest, health: Health) -> AccountStatus:
    seen, intents = latest.of(name), wiring.guards[name].intents
    result = seen.result if seen is not None else CycleResult()
    adjustments = sorted(intents.every, key=lambda item: item.created_at_ms)
    last = {item.key: item for item in adjustments}
    return AccountStatus(
        name=name,
        outcome=_word(result) if seen is not None else None,
        withheld=result.withheld,
        unsighted_s=latest.silent_s(name),
        trouble=health.troubles.get(name),
        loans=tuple(_loans(result.decisions, last)),
        set_aside=tuple((item.key.product.value, item.key.loan_id, item.why) for item in result.set_aside),
        wallet=seen.wallet if seen is not None else None,
        reserve=dict(settings.accounts[name].wallet.reserve),
        due={} if result.account is None else dict(result.account.due),
        contracts=result.contracts,
        adjustments=tuple(adjustments),
        exchange_ms=wiring.clock.now().exchange_ms,
        counts=Counts(
            requests=dict(wiring.clients[name].transport.answers),
            adjustments={(way.value, state.value): count for (way, state), count in intents.tally.items()},
            cycles=latest.took(name),
            breaches=latest.reactions.took(name),
        ),
        requests_left=wiring.limits[name].rooms,
    )


def _prices(wiring: Wiring) -> Mapping[str, Decimal] | None:
    stream = wiring.stream
    return None if stream is None or stream.why_lost is not None else dict(stream.prices)


def _word(result: CycleResult) -> str:
    """As `cycle_finished` has it."""
    if result.blind:
        return "partial" if result.loans else "blind"
    if result.withheld is not None:
        return result.withheld.kind.value
    return "slow" if result.slow else "ok"


def _loans(decisions: Iterable[Decision], last: Mapping[LoanKey, Intent]) -> Iterator[LoanStatus]:
    """The one nearest to liquidation first."""
    for decision in sorted(decisions, key=lambda item: item.loan.danger, reverse=True):
        loan, limits = decision.loan, decision.limits
        yield LoanStatus(
            loan=loan,
            trigger_ltv=limits.trigger,
            target_ltv=limits.target,
            fall_to_trigger=fall_to(loan.ltv, limits.trigger),
            fall_to_margin_call=fall_to(loan.ltv, loan.margin_call_ltv),
            fall_to_liquidation=fall_to(loan.ltv, loan.liquidation_ltv),
            doing=decision.cause.value,
            tell_reason=partial(sentences.reason, decision),
            last_adjustment=last.get(loan.key),
        )


def _alert(alert: Alert, lasted_ms: int, account: str | None) -> AlertStatus:
    named = {name: alert.details.get(name) for name in NAMES}
    return AlertStatus(
        event=alert.event,
        since_ms=wall_ms() - lasted_ms,
        account=named["account"] or account,
        product=named["product"],
        has_happened=alert.has_happened,
        loan_id=named["loan_id"],
        details={
            name: _text(value)
            for name, value in alert.details.items()
            if name not in {*NAMES, "cycle_id", "exc_info"} and value is not None
        },
    )


def _text(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    return "; ".join(map(_text, value)) if isinstance(value, list | tuple) else str(value)
