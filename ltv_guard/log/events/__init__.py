"""The catalogue: every event that is logged, what it carries, what it means and what to do. Data only.

docs/events.md is made from it (`make docs`), and a test holds the code to it.
"""

from __future__ import annotations

from ltv_guard.log.events.account import ACCOUNT
from ltv_guard.log.events.adjustments import ADJUSTMENTS
from ltv_guard.log.events.daemon import DAEMON
from ltv_guard.log.events.decisions import DECISIONS
from ltv_guard.log.events.event import Event, Field, Level, Shape, Told, plain
from ltv_guard.log.events.exchange import EXCHANGE
from ltv_guard.log.events.fields import COMMON, FIELDS
from ltv_guard.log.events.fleet import FLEET
from ltv_guard.log.events.journal import JOURNAL
from ltv_guard.log.events.lags import LAGS
from ltv_guard.log.events.loans import LOANS

__all__ = [
    "CATALOGUE",
    "COMMON",
    "FIELDS",
    "FOREMOST",
    "ONCE",
    "THEMES",
    "Event",
    "Field",
    "Level",
    "Shape",
    "Told",
    "plain",
]

THEMES = {
    "The daemon": DAEMON,
    "Decisions": DECISIONS,
    "Adjustments": ADJUSTMENTS,
    "Loans": LOANS,
    "Reads and the exchange": EXCHANGE,
    "Histories, lags and clocks": LAGS,
    "Key and kill switch": ACCOUNT,
    "Journal": JOURNAL,
    "A fleet": FLEET,
}

CATALOGUE = {event.name: event for events in THEMES.values() for event in events}

# Critical events that are over when they are told: shown until a person takes note, and no end is told.
ONCE = frozenset(
    event.name
    for event in CATALOGUE.values()
    if (grave := [told for told in event.told if told.level is Level.CRITICAL])
    and not any(told.repeated for told in grave)
)

# The ten that whoever is on duty knows by heart; the README shows them.
FOREMOST = (
    ("breach_unanswered", Level.CRITICAL),
    ("protection_short", Level.CRITICAL),
    ("guard_blind", Level.CRITICAL),
    ("needs_human", Level.CRITICAL),
    ("journal_unavailable", Level.CRITICAL),
    ("loan_set_aside", Level.CRITICAL),
    ("adjustment_unsettled", Level.CRITICAL),
    ("exchange_banned", Level.CRITICAL),
    ("loan_overdue", Level.CRITICAL),
    ("cycle_finished", Level.INFO),
)
