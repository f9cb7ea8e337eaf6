"""Notes LTVs and prices once a minute, for the page's charts: in memory a day, in the journal a week."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from ltv_guard.core.model.errors import JournalUnavailable
from ltv_guard.core.model.loans import Owner
from ltv_guard.core.model.samples import EVERY_MS, MOST_LOANS, ChartSample
from ltv_guard.core.model.status import AccountStatus, Status
from ltv_guard.guard.defects import Defects
from ltv_guard.service.heartbeat import wall_ms
from ltv_guard.service.rounds import rounds

LOOK_S = 1.0
DAY_MS = 86_400_000
MOST = DAY_MS // EVERY_MS


class Samples(Protocol):
    """What is needed of `adapters.journal.samples`."""

    async def keep(self, owner: Owner, sample: ChartSample) -> None:
        """Keeps one minute of an account's LTVs and prices. Raises JournalUnavailable."""

    async def since(self, owner: Owner, since_ms: int) -> tuple[ChartSample, ...]:
        """Those kept since an exchange time (ms), oldest first. Raises JournalUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderSource:
    """`is_wanted`: whether anybody could look at it. `owners`: by account, as far as they are known.

    `status` takes long with many loans: it is asked for once a minute.
    """

    is_wanted: Callable[[], bool]
    status: Callable[[], Status]
    owners: Callable[[], Mapping[str, Owner]]
    samples: Callable[[], Samples]
    now_ms: Callable[[], int] = wall_ms


class Recorder:
    """Of each account a day is held, which a journal that can't be used does not interrupt."""

    def __init__(self, source: RecorderSource, defects: Defects) -> None:
        self._source = source
        self._defects = defects
        self._held: dict[Owner, deque[ChartSample]] = {}
        self._recalled: set[Owner] = set()
        self._due_ms = 0

    def shown(self) -> Mapping[str, Sequence[ChartSample]]:
        """By account, the oldest first."""
        owners = self._source.owners()
        return {name: tuple(self._held.get(owner, ())) for name, owner in owners.items()}

    async def watch(self) -> None:
        """Until it is cancelled."""
        await rounds("noting LTVs and prices", self._look, LOOK_S, self._defects)

    async def _look(self) -> None:
        now_ms = self._source.now_ms()
        # A clock that was set back must not silence it.
        if self._due_ms - EVERY_MS <= now_ms < self._due_ms:
            return
        owners = self._source.owners()
        if not (self._source.is_wanted() and owners):
            return
        self._due_ms = now_ms + EVERY_MS
        status = self._source.status()
        for account in status.accounts:
            if account.loans and (owner := owners.get(account.name)) is not None:
                with suppress(JournalUnavailable):  # which the daemon tells, and which costs no other account
                    await self._note(owner, _sample_of(status, account))

    async def _note(self, owner: Owner, sample: ChartSample) -> None:
        """Raises JournalUnavailable; it is held in memory then."""
        samples, held = self._source.samples(), self._held.setdefault(owner, deque(maxlen=MOST))
        held.append(sample)
        if owner not in self._recalled:
            earlier = await samples.since(owner, sample.at_ms - DAY_MS)
            self._held[owner] = deque(
                (*(item for item in earlier if item.at_ms < held[0].at_ms), *held), MOST
            )
            self._recalled.add(owner)
        await samples.keep(owner, sample)


def _sample_of(status: Status, account: AccountStatus) -> ChartSample:
    shown = account.loans[:MOST_LOANS]
    coins = {held.coin for item in shown for held in item.loan.collateral if held.amount > 0}
    return ChartSample(
        at_ms=status.at_ms,
        ltvs={item.loan.key: item.loan.ltv for item in shown},
        prices={coin: price for coin, price in (status.prices or {}).items() if coin in coins},
    )
