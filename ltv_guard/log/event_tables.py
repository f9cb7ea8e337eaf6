"""The catalogue as tables: `python -m ltv_guard.log.event_tables`, writes them in a checkout.

That is docs/events.md as a whole, in the README the table of the ten that matter most, and in
docs/operations.md a section for each alarm.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ltv_guard.log.events import CATALOGUE, COMMON, FIELDS, FOREMOST, THEMES, Event, Level, Told

PAGE, README, RUNBOOK = Path("docs/events.md"), Path("README.md"), Path("docs/operations.md")
BEGIN, END = "<!-- events: made by `make docs` -->", "<!-- end of events -->"

HEAD = """\
# Events

<!-- Made from ltv_guard/log/events by `make docs`: change it there. -->

`run` logs to standard output: JSON, one event a line (columns on a terminal, see `logging.format`).
Numbers that matter are strings, so that nothing rounds them. The names of events and of fields are kept: they
are only added to.

What is unchanged is not repeated. What is critical is said at once and again after 1, 2, 4 ... 30 minutes for
as long as it lasts, unless the table says *once*.

In the names of events an *adjustment* is also a repayment or a transfer: `direction` is `add`, `reduce`,
`repay` or `transfer`. A transfer acts on no loan but on the Funding wallet: its `product` is `funding`, its
`loan_id` the coin.

Whoever is on duty begins with [the runbook](operations.md). [Alerts](operations.md#alerts) has rules for
lines.
"""
FIELDS_HEAD = """\
## Fields

Any line may carry {common}; the first three are in each. What is not there is left out.

"""


def page() -> str:
    """docs/events.md: the names by level, a table of meanings for each theme, and the fields."""
    themes = [f"## {title}\n\n{_meanings(events)}" for title, events in THEMES.items()]
    return "\n".join([HEAD, _by_level(), *themes, _fields()])


def with_foremost(readme: str) -> str:
    """The README with its table renewed: the ten, and the first sentence of what each means and asks for."""
    return _renewed(readme, _foremost())


def with_alarms(runbook: str) -> str:
    """docs/operations.md with its sections renewed: of each event that may be critical, under its name."""
    alarms = sorted(event.name for event in CATALOGUE.values() if Level.CRITICAL in event.levels)
    return _renewed(runbook, "\n" + "\n".join(map(_section, alarms)) + "\n")


def _renewed(page: str, made: str) -> str:
    before, _, rest = page.partition(BEGIN)
    return f"{before}{BEGIN}\n{made}{END}{rest.partition(END)[2]}"


def _section(name: str) -> str:
    """What it means and what to do; an event may be critical for more than one cause."""
    graves = [told for told in CATALOGUE[name].told if told.level is Level.CRITICAL]
    causes = [
        f"{f'*{told.case}.* ' if told.case else ''}{told.means}\n\n**What to do:** {told.do}\n"
        for told in graves
    ]
    return f"### {name}\n\n" + "\n".join(causes).replace("](operations.md#", "](#")


def _foremost() -> str:
    rows = []
    for name, level in FOREMOST:
        told = next(told for told in CATALOGUE[name].told if told.level is level)
        rows.append((f"`{name}`", level.upper(), _first_sentence(told.means), _first_sentence(told.do)))
    return _table(("event", "level", "what it means", "what to do"), rows).replace("](", "](docs/")


def _by_level() -> str:
    lines = []
    for level in Level:
        names = sorted(event.name for event in CATALOGUE.values() if level in event.levels)
        lines.append(f"- **{level.upper()}**: {', '.join(f'`{name}`' for name in names)}\n")
    return f"## By level\n\n{''.join(lines)}"


def _meanings(events: Iterable[Event]) -> str:
    """The gravest first."""
    all_told = [(event.name, told) for event in events for told in event.told]
    rows = [
        (_name(name, told), _level(told), told.means, told.do)
        for level in Level
        for name, told in all_told
        if told.level is level
    ]
    return _table(("event", "level", "what it means", "what to do"), rows)


def _fields() -> str:
    of_events = [
        (f"`{name}`", ", ".join(f"`{field}`" for field in CATALOGUE[name].fields) or "-")
        for name in sorted(CATALOGUE)
    ]
    kinds = [(f"`{name}`", field.kind, field.means) for name, field in FIELDS.items()]
    common = ", ".join(f"`{name}`" for name in FIELDS if name in COMMON)
    return (
        FIELDS_HEAD.format(common=common)
        + _table(("event", "what it carries"), of_events)
        + "\nA field is of one kind in all events.\n\n"
        + _table(("field", "kind", "what it is"), kinds)
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [" | ".join(row) for row in (head, *rows)]
    lines.insert(1, " | ".join(["---"] * len(head)))
    return "".join(f"| {line} |\n" for line in lines)


def _name(name: str, told: Told) -> str:
    return f"`{name}` {told.case}".rstrip()


def _level(told: Told) -> str:
    once = told.level is Level.CRITICAL and not told.repeated
    return f"{told.level.upper()} *once*" if once else told.level.upper()


def _first_sentence(text: str) -> str:
    return text if ". " not in text else text[: text.index(". ") + 1]


if __name__ == "__main__":
    PAGE.write_text(page())
    README.write_text(with_foremost(README.read_text()))
    RUNBOOK.write_text(with_alarms(RUNBOOK.read_text()))
