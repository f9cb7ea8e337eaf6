"""Code, catalogue and documentation speak of the same events."""

from __future__ import annotations

from pathlib import Path

import pytest
from logged_events import Scan

from ltv_guard.log import event_tables
from ltv_guard.log.events import CATALOGUE, COMMON, FIELDS, FOREMOST, THEMES, Level
from ltv_guard.log.events.event import NOTHING

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scan() -> Scan:
    return Scan()


def test_every_event_that_is_logged_can_be_read_off_the_code(scan: Scan) -> None:
    assert not scan.unseen


def test_the_catalogue_has_the_events_that_the_code_logs_and_no_others(scan: Scan) -> None:
    assert sorted(scan.found) == sorted(CATALOGUE)


def test_the_catalogue_has_the_levels_at_which_the_code_logs_an_event(scan: Scan) -> None:
    for name, logged in scan.found.items():
        told = {level.value for level in CATALOGUE[name].levels}
        assert logged.levels <= told <= logged.levels | logged.possible, name


def test_the_catalogue_has_the_fields_that_the_code_writes_out(scan: Scan) -> None:
    for name, logged in scan.found.items():
        assert logged.fields <= {*CATALOGUE[name].fields, *COMMON}, name


def test_what_is_said_again_and_again_is_so_in_the_catalogue(scan: Scan) -> None:
    repeated = {name for name, event in CATALOGUE.items() if any(told.repeated for told in event.told)}

    assert repeated == {name for name, logged in scan.found.items() if logged.repeated}


def test_every_field_is_explained_and_every_explained_field_is_used() -> None:
    used = {field for event in CATALOGUE.values() for field in event.fields} | COMMON

    assert used == FIELDS.keys()


def test_an_event_has_one_place_and_tells_each_level_apart() -> None:
    assert len(CATALOGUE) == sum(map(len, THEMES.values()))
    for event in CATALOGUE.values():
        assert len({(told.level, told.case) for told in event.told}) == len(event.told), event.name


def test_the_page_of_events_is_made_from_the_catalogue() -> None:
    assert (ROOT / event_tables.PAGE).read_text() == event_tables.page(), "make docs"


def test_the_readme_shows_ten_events_from_the_catalogue() -> None:
    readme = (ROOT / event_tables.README).read_text()

    assert event_tables.with_foremost(readme) == readme, "make docs"
    assert len(FOREMOST) == 10


def test_the_runbook_has_a_section_for_each_alarm_under_its_name() -> None:
    runbook = (ROOT / event_tables.RUNBOOK).read_text()

    assert event_tables.with_alarms(runbook) == runbook, "make docs"
    sections = runbook.split("\n### ")[1:]
    for event in CATALOGUE.values():
        for told in (told for told in event.told if told.level is Level.CRITICAL):
            (section,) = (item for item in sections if item.splitlines()[0] == event.name)
            assert told.do != NOTHING
            assert told.do.replace("](operations.md#", "](#") in section


def test_no_other_page_has_a_table_of_events() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        if page.name in {"events.md", "README.md"}:
            continue
        rows = [line for line in page.read_text().splitlines() if line.startswith("| `")]
        assert not [row for row in rows if row.split("`")[1] in CATALOGUE], page
