"""What the guard says in a rehearsal: collected for `plan` to show, instead of raised as an alarm."""

from __future__ import annotations

import logging
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, NoReturn

import structlog

from ltv_guard.cli.withheld_words import in_words
from ltv_guard.core.model.withheld import Why
from ltv_guard.service.findings import AccountPlan, Said

# What is no word about a loan or an account, or is shown by `plan` itself.
OF_THE_CYCLE = {"cycle_finished", "guard_paused", "decision_made"}
FIXED_LOAN_UNPAID = ("fixed_loan_not_repaid", Why.DRY_RUN.value)
NAMES = {"event", "level", "account", "product", "loan_id", "cycle_id"}

Heard = list[MutableMapping[str, Any]]


def listen() -> Heard:
    """From now on nothing is logged; warnings and worse are collected in what is returned."""
    heard: Heard = []

    def hear(_logger: object, method: str, event: MutableMapping[str, Any]) -> NoReturn:
        heard.append({**event, "level": method})
        raise structlog.DropEvent

    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, hear],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.ReturnLoggerFactory(),  # nothing is written, be there a stream or not
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[logging.NullHandler()], force=True)
    return heard


def with_words(plans: Iterable[AccountPlan], heard: Heard, *, live: bool) -> list[AccountPlan]:
    """The plans, each with what the daemon would say of its account."""
    return [replace(plan, says=tuple(_words_of(plan, heard, live=live))) for plan in plans]


def _words_of(plan: AccountPlan, heard: Heard, *, live: bool) -> Sequence[Said]:
    said = []
    for event in heard:
        if event.get("account") != plan.account or event["event"] in OF_THE_CYCLE:
            continue
        why = _why(event)
        if event["event"] == "breach_unanswered" or (event["event"], why) == FIXED_LOAN_UNPAID:
            # The reason given here is that it is a dry run. A live daemon would act, or has another one.
            if live and plan.withheld is None:
                continue
            why = why if plan.withheld is None else in_words(plan.withheld)
        said.append(
            Said(
                level="critical" if event["level"] == "exception" else event["level"],
                event=event["event"],
                why=why,
                product=event.get("product"),
                loan_id=event.get("loan_id"),
            )
        )
    return said


def _why(event: MutableMapping[str, Any]) -> str:
    if event.get("why"):
        return str(event["why"])
    rest = {name: _plain(value) for name, value in event.items() if name not in NAMES and value is not None}
    return ", ".join(f"{name} {value}" for name, value in rest.items() if value)


def _plain(value: object) -> str:
    if isinstance(value, Decimal):
        return format(value, "f")
    return "; ".join(map(_plain, value)) if isinstance(value, (list, tuple)) else str(value)
