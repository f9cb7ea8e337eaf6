"""What `check` looks at: configuration, files, journal, host, keys, loans and outlets; and what to mend."""

from __future__ import annotations

from ltv_guard.adapters.journal import MemoryJournal
from ltv_guard.adapters.settings import Settings
from ltv_guard.service.account_check import examine
from ltv_guard.service.compose import Frame, wire
from ltv_guard.service.file_check import (
    examine_account_files,
    examine_configuration,
    examine_files,
    examine_variables,
)
from ltv_guard.service.findings import Finding
from ltv_guard.service.host_check import examine_host
from ltv_guard.service.journal_check import examine_journal
from ltv_guard.service.key_check import examine_key
from ltv_guard.service.outlets_check import examine_port, examine_targets
from ltv_guard.service.stream_check import examine_stream


async def check(settings: Settings, *, notifies: bool = False) -> list[Finding]:
    """Everything a first run needs, each with what was found. `notifies`: each target gets a test message.

    Raises ConfigError.
    """
    journal = await examine_journal(settings)
    findings = [examine_configuration(settings), *examine_variables(), *examine_account_files(settings)]
    findings += [*journal.findings, *examine_files(settings)]
    frame = Frame(settings=settings, journal=MemoryJournal(), live=False)
    async with wire(frame, banned_for_s=journal.banned_s) as wiring:
        findings += await examine_host(wiring, settings.exchange.rest_url)
        findings += await examine_stream(wiring.stream)
        for name in wiring.accounts if wiring.ban.remaining_s == 0 else ():
            of_key, is_refused = await examine_key(settings, wiring, name)
            findings += of_key
            findings += await examine(settings, wiring, name, key_is_refused=is_refused)
    findings.append(await examine_port(settings, is_in_use=journal.is_in_use))
    return findings + await examine_targets(settings, tries=notifies)
