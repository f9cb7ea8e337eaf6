"""A journal that was lost or brought back from a copy never passes for the one that was in use."""

# ruff: noqa: ASYNC220, ASYNC240 - nothing else waits for these tests' loop

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from held_intents import intent_in

from ltv_guard.adapters.journal import MemoryJournal, SqlJournal, open_journal, seal
from ltv_guard.adapters.journal.session import Session
from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.intents import Intent, State

Plan = Callable[..., Intent]
Send = Callable[[Intent], Intent]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def opened(path: Path) -> SqlJournal:
    return await open_journal(f"sqlite:///{path}")


async def send(journal: SqlJournal, intent: Intent, sent: Send) -> None:
    await journal.plan(intent)
    assert await journal.mark_sent(sent(intent))


async def is_continuous(path: Path) -> bool:
    journal = await opened(path)
    await journal.close()
    return journal.is_continuous


@pytest.fixture
async def used(path: Path, planned: Plan, sent: Send) -> Path:
    """A journal that has run, waited, sent, and was closed."""
    journal = await opened(path)
    await journal.begin_run("run", 1)
    await journal.seal()
    await send(journal, planned("first"), sent)
    await journal.close()
    return path


async def test_a_journal_in_use_is_continuous_at_every_restart(used: Path) -> None:
    for _ in range(2):
        journal = await opened(used)
        assert journal.is_continuous
        assert not journal.is_new
        await journal.close()


async def test_a_run_that_sent_nothing_leaves_a_continuous_journal(path: Path) -> None:
    journal = await opened(path)
    await journal.begin_run("run", 1)
    await journal.seal()
    await journal.close()
    assert await is_continuous(path)


async def test_a_run_that_never_got_to_the_end_of_its_wait_leaves_none(
    path: Path, planned: Plan, sent: Send
) -> None:
    journal = await opened(path)
    await journal.begin_run("run", 1)
    await send(journal, planned(), sent)
    await journal.close()
    assert not await is_continuous(path)


async def test_a_copy_put_back_over_the_file_is_not_continuous(used: Path, planned: Plan, sent: Send) -> None:
    backup = used.read_bytes()
    journal = await opened(used)
    await send(journal, planned("after the backup"), sent)
    await journal.close()
    used.write_bytes(backup)
    assert not await is_continuous(used)


async def test_a_copy_in_place_of_the_file_is_not_continuous(used: Path) -> None:
    shutil.copy(used, used.with_name("backup.db"))
    used.with_name("backup.db").replace(used)
    assert not await is_continuous(used)


async def test_a_restored_journal_stays_discontinuous_until_it_has_waited(
    used: Path, planned: Plan, sent: Send
) -> None:
    shutil.copy(used, used.with_name("backup.db"))
    used.with_name("backup.db").replace(used)
    journal = await opened(used)
    assert not journal.is_continuous
    await send(journal, planned("too early"), sent)
    await journal.close()
    assert not await is_continuous(used)
    journal = await opened(used)
    await journal.seal()
    await journal.close()
    assert await is_continuous(used)


async def test_a_lost_seal_is_not_continuous(used: Path) -> None:
    used.with_name("journal.db.seal").unlink()
    assert not await is_continuous(used)


@pytest.mark.parametrize("words", [b"", b"\xff\xfe", b"{}", b'{"last_sent": "first"}'])
async def test_a_broken_seal_is_not_continuous(used: Path, words: bytes) -> None:
    used.with_name("journal.db.seal").write_bytes(words)
    assert not await is_continuous(used)


async def test_a_new_file_beside_an_old_seal_is_new_and_not_continuous(used: Path) -> None:
    used.unlink()
    journal = await opened(used)
    assert journal.is_new
    assert not journal.is_continuous
    await journal.close()


async def test_another_boot_is_not_continuous(
    used: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "boot_id").write_text("another boot")
    monkeypatch.setattr(seal, "_BOOT_ID", tmp_path / "boot_id")
    assert not await is_continuous(used)


async def test_dying_between_seal_and_commit_is_not_continuous(used: Path, planned: Plan, sent: Send) -> None:
    journal = await opened(used)
    await journal.plan(planned("lost"))
    with pytest.raises(ZeroDivisionError):
        await sealed_and_not_committed(journal, planned("lost"))
    await journal.close()
    assert not await is_continuous(used)


async def sealed_and_not_committed(journal: SqlJournal, intent: Intent) -> None:
    def note(session: Session) -> None:
        journal._store.note_sent(session, intent)
        raise ZeroDivisionError

    await journal._store.write(note)


async def test_a_seal_that_cannot_be_written_keeps_the_intent_from_being_sent(
    used: Path, planned: Plan, sent: Send
) -> None:
    journal = await opened(used)
    await journal.plan(planned("second"))
    used.with_name("journal.db.seal").unlink()
    used.with_name("journal.db.seal").mkdir()
    with pytest.raises(JournalUnavailable):
        await journal.mark_sent(sent(planned("second")))
    assert await intent_in(journal, "second") == planned("second")
    await journal.close()


async def test_commands_leave_the_seal_as_it_is(used: Path) -> None:
    command = await open_journal(f"sqlite:///{used}", writer=False)
    assert not command.is_continuous
    await command.pause(None, "audit", 1)
    await command.close()
    assert await is_continuous(used)


async def test_a_refused_second_daemon_leaves_the_seal_as_it_is(used: Path) -> None:
    journal = await opened(used)
    with pytest.raises(JournalUnavailable):
        await opened(used)
    await journal.close()
    assert await is_continuous(used)


SENDER = """
import asyncio, sys
from decimal import Decimal
from ltv_guard.adapters.journal import open_journal
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, LoanKey, Owner, Product

async def main(url, prefix):
    journal = await open_journal(url)
    await journal.begin_run(prefix, 1)
    await journal.seal()
    for number in range(100_000):
        planned = Intent(
            intent_id=f"{prefix}{number}", owner=Owner("testnet", "4711"), account="main",
            key=LoanKey(Product.LEGACY, f"{prefix}{number}"), direction=Direction.ADD, coin="BTC",
            amount=Decimal(1), state=State.PLANNED, reason="", coins_before=Decimal(1),
            ltv_before=Decimal(1), observed_at_ms=1, seen_ids=frozenset(), created_at_ms=1, updated_at_ms=1,
        )
        await journal.plan(planned)
        assert await journal.mark_sent(planned.to(State.SENT, 2, signed_at_ms=2, recv_window_ms=5000))
        print(planned.intent_id, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_daemon_that_is_killed_has_written_down_whatever_it_sent(path: Path) -> None:
    sent_ids: set[str] = set()
    for round_ in range(4):
        daemon = subprocess.Popen(
            [sys.executable, "-c", SENDER, f"sqlite:///{path}", f"run{round_}-"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert daemon.stdout is not None
        for _ in range(7 + 5 * round_):
            sent_ids.add(daemon.stdout.readline().strip())
        os.kill(daemon.pid, signal.SIGKILL)
        sent_ids.update(
            line.strip() for line in daemon.stdout.read().splitlines(keepends=True) if "\n" in line
        )
        daemon.wait()
        daemon.stdout.close()
        journal = await opened(path)
        for intent_id in sent_ids:
            held = await intent_in(journal, intent_id)
            assert held is not None
            assert held.state is State.SENT
        await journal.close()


async def test_a_memory_journal_is_continuous_as_a_real_one_is(planned: Plan) -> None:
    journal = MemoryJournal()
    await journal.begin_run("run", 1)
    assert not MemoryJournal.restored(journal.snapshot()).is_continuous
    await journal.seal()
    await journal.plan(planned())
    again = MemoryJournal.restored(journal.snapshot())
    assert again.is_continuous
    assert not again.is_new
    assert not MemoryJournal.restored(journal.snapshot(), from_backup=True).is_continuous
