"""A journal in memory, with the constraints of the real one: what the guard is tested with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Self

from ltv_guard.adapters.journal.memory_contents import Contents
from ltv_guard.adapters.journal.records import RUNS_KEPT_MS, Ban, Run, check_is_planned, check_is_sent
from ltv_guard.core.model.errors import AlreadyOpen, ImpossibleTransition, JournalUnavailable
from ltv_guard.core.model.intents import OPEN, Intent, State
from ltv_guard.core.model.loans import Owner
from ltv_guard.core.ports import Episode, Pause, Standing


class MemoryJournal:
    """Implements `ports.Journal`. Keeps and refuses what `SqlJournal` does, but has no outbox.

    `resolve` takes whole ids only. `on_write` is called with the method's name before each write. What it
    raises comes out of the method, and nothing has been written: a full disk, or a crash.
    """

    def __init__(
        self, contents: Contents | None = None, *, on_write: Callable[[str], None] = lambda _name: None
    ) -> None:
        self.on_write = on_write
        self._held = (contents or Contents()).copied()
        self.is_new = not self._held.intents and not self._held.runs
        self.is_continuous = self._held.sealed
        self.restorations = list[str]()

    def snapshot(self) -> Contents:
        """What a crash at this instant would leave behind."""
        return self._held.copied()

    @classmethod
    def restored(cls, contents: Contents, *, from_backup: bool = False) -> Self:
        """The journal as the next start finds it; `from_backup`: put back from a copy, so not continuous."""
        return cls(replace(contents, sealed=contents.sealed and not from_backup))

    def goes_back(self, contents: Contents) -> None:
        """A server that was brought back to before, while it is in use."""
        self._held = contents.copied()
        self.restorations.append("the journal in memory has gone back")

    async def close(self) -> None:
        """Nothing is lost: `snapshot` still tells what it holds."""

    async def seal(self) -> None:
        self.on_write("seal")
        self._held = replace(self._held, sealed=True)

    async def claim(self, owner: Owner) -> None:
        """No other program can see this journal."""

    async def standing(self, owner: Owner) -> Standing:
        return Standing(
            open_intents=await self.open_intents(owner),
            episodes=await self.episodes(owner),
            pauses=await self.pauses(),
        )

    async def open_intents(self, owner: Owner) -> tuple[Intent, ...]:
        return tuple(intent for intent in self._oldest_first() if intent.owner == owner and intent.is_open)

    async def recent_intents(self, owner: Owner, since_ms: int) -> tuple[Intent, ...]:
        return tuple(
            intent
            for intent in self._oldest_first()
            if intent.owner == owner and max(intent.created_at_ms, intent.updated_at_ms) >= since_ms
        )

    async def list_intents(self, limit: int | None = None) -> tuple[Intent, ...]:
        return tuple(reversed(self._oldest_first()))[:limit]

    async def plan(self, intent: Intent) -> None:
        check_is_planned(intent)
        self.on_write("plan")
        self._insert(intent)

    async def write_sent(self, intent: Intent, episode: Episode | None = None) -> bool:
        check_is_sent(intent)
        self.on_write("write_sent")
        if self._is_paused(intent.account):
            return False
        self._insert(intent)
        self._put(intent.owner, episode)
        return True

    async def mark_sent(self, intent: Intent, episode: Episode | None = None) -> bool:
        check_is_sent(intent)
        self.on_write("mark_sent")
        self._check_state(intent.intent_id, State.PLANNED)
        if self._is_paused(intent.account):
            return False
        self._held.intents[intent.intent_id] = intent
        self._put(intent.owner, episode)
        return True

    async def record(self, before: Intent, after: Intent) -> None:
        if after.state is State.SENT:
            raise ImpossibleTransition(f"intent {after.intent_id}: only mark_sent makes it sent")
        self.on_write("record")
        self._replace(before, after)

    async def resolve(
        self, intent_id: str, state: State, at_ms: int, *, adjust_id: str | None = None, forced: bool = False
    ) -> Intent:
        self.on_write("resolve")
        before = self._held.intents.get(intent_id)
        if before is None:
            raise JournalUnavailable(f"the journal holds no intent {intent_id}")
        after = before.resolved_by_human(state, at_ms, adjust_id=adjust_id, forced=forced)
        self._replace(before, after)
        return after

    async def episodes(self, owner: Owner) -> tuple[Episode, ...]:
        return tuple(episode for (holder, _), episode in self._held.episodes.items() if holder == owner)

    async def write_episodes(self, owner: Owner, episodes: Sequence[Episode]) -> None:
        self.on_write("write_episodes")
        for episode in episodes:
            self._put(owner, episode)

    def _put(self, owner: Owner, episode: Episode | None) -> None:
        if episode is not None:
            self._held.episodes[owner, episode.key] = episode

    async def pauses(self) -> tuple[Pause, ...]:
        return tuple(sorted(self._held.pauses.values(), key=lambda pause: pause.account or ""))

    async def pause(self, account: str | None, reason: str, at_ms: int, until_ms: int | None = None) -> None:
        self.on_write("pause")
        self._unacknowledge(account)
        self._held.pauses[account] = Pause(account=account, reason=reason, since_ms=at_ms, until_ms=until_ms)

    async def resume(self, account: str | None) -> bool:
        self.on_write("resume")
        self._unacknowledge(account)
        return self._held.pauses.pop(account, None) is not None

    async def lift_pauses(self, at_ms: int) -> bool:
        over = [who for who, item in self._held.pauses.items() if (item.until_ms or at_ms + 1) <= at_ms]
        return any([await self.resume(account) for account in over])

    async def begin_run(self, run_id: str, at_ms: int) -> None:
        self.on_write("begin_run")
        for run in tuple(self._held.runs.values()):
            if run.alive_at_ms < at_ms - RUNS_KEPT_MS:
                del self._held.runs[run.run_id]
        self._held.runs[run_id] = _begun(run_id, at_ms)

    async def acknowledge_pauses(self, run_id: str, at_ms: int) -> tuple[Pause, ...]:
        self.on_write("acknowledge_pauses")
        run = self._held.runs.get(run_id, _begun(run_id, at_ms))
        fresh = tuple(pause for pause in await self.pauses() if pause.account not in run.acknowledged)
        seen = frozenset(self._held.pauses)
        self._held.runs[run_id] = replace(run, alive_at_ms=at_ms, acknowledged=seen)
        return fresh

    async def end_run(self, run_id: str, at_ms: int) -> None:
        self.on_write("end_run")
        run = self._held.runs[run_id]
        self._held.runs[run_id] = replace(run, alive_at_ms=at_ms, ended_at_ms=at_ms)

    async def runs(self) -> tuple[Run, ...]:
        return tuple(self._held.runs.values())

    async def remember_ban(self, host: str, until_ms: int, at_ms: int) -> None:
        self.on_write("remember_ban")
        self._held.bans[host] = Ban(host=host, until_ms=until_ms, set_at_ms=at_ms)

    async def bans(self) -> tuple[Ban, ...]:
        return tuple(self._held.bans[host] for host in sorted(self._held.bans))

    def _oldest_first(self) -> list[Intent]:
        return sorted(self._held.intents.values(), key=lambda item: (item.created_at_ms, item.intent_id))

    def _is_paused(self, account: str) -> bool:
        return None in self._held.pauses or account in self._held.pauses

    def _insert(self, intent: Intent) -> None:
        if intent.intent_id in self._held.intents:
            raise JournalUnavailable(f"the journal refused intent {intent.intent_id}: it holds it already")
        if intent.rescue_of == intent.intent_id:
            raise JournalUnavailable(f"intent {intent.intent_id} cannot rescue itself")
        self._check_unique(intent)
        self._check_rescue(intent)
        self._held.intents[intent.intent_id] = intent

    def _replace(self, before: Intent, after: Intent) -> None:
        self._check_state(after.intent_id, before.state)
        self._check_unique(after)
        self._held.intents[after.intent_id] = after

    def _check_state(self, intent_id: str, expected: State) -> None:
        held = self._held.intents.get(intent_id)
        if held is None or held.state is not expected:
            raise JournalUnavailable(
                f"the journal holds intent {intent_id} as {held.state if held else 'unknown'}, "
                f"not as {expected}: another program has written to it"
            )

    def _check_rescue(self, intent: Intent) -> None:
        if intent.rescue_of is None:
            return
        if intent.rescue_of not in self._held.intents:
            raise JournalUnavailable(
                f"intent {intent.intent_id} rescues {intent.rescue_of}, which the journal does not hold"
            )
        if any(other.rescue_of == intent.rescue_of for other in self._held.intents.values()):
            raise AlreadyOpen(f"intent {intent.rescue_of} has had its rescue")

    def _check_unique(self, intent: Intent) -> None:
        for other in self._held.intents.values():
            if other.intent_id == intent.intent_id or other.owner != intent.owner:
                continue
            if _are_both_open(intent, other):
                raise AlreadyOpen(f"loan {intent.key.loan_id} has an open intent already")
            if intent.adjust_id is not None and _adjusted_as(intent) == _adjusted_as(other):
                raise JournalUnavailable(
                    f"intent {intent.intent_id} cannot have the adjust_id {intent.adjust_id}: "
                    "another intent of that user has claimed it"
                )

    def _unacknowledge(self, account: str | None) -> None:
        for run in self._held.runs.values():
            self._held.runs[run.run_id] = replace(run, acknowledged=run.acknowledged - {account})


def _are_both_open(one: Intent, other: Intent) -> bool:
    both_open = one.state in OPEN and other.state in OPEN
    return both_open and one.key == other.key and (one.rescue_of is None) == (other.rescue_of is None)


def _begun(run_id: str, at_ms: int) -> Run:
    return Run(run_id=run_id, host="memory", pid=0, started_at_ms=at_ms, alive_at_ms=at_ms)


def _adjusted_as(intent: Intent) -> tuple[str, str | None]:
    return intent.key.product, intent.adjust_id
