"""The leases of a fleet in the database: seen, renewed, taken and given back, by the database's clock."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence

from ltv_guard.adapters.journal import fleet_workers
from ltv_guard.adapters.journal.session import NOTHING, Row, Session
from ltv_guard.adapters.journal.store import Store
from ltv_guard.core.decide.calls import most_calls
from ltv_guard.core.model.leases import FleetRegister, FleetView, Lease, Tenure, Worker

_ADD = (
    "INSERT INTO leases (environment, account, egress, epoch, since_ms, expires_at_ms) "
    "VALUES (:environment, :account, :egress, 0, 0, 0) ON CONFLICT (environment, account) DO NOTHING"
)
_MOVE = "UPDATE leases SET egress = :egress WHERE environment = :environment AND account = :account"
_OF = "SELECT * FROM leases WHERE environment = :environment"
_OF_EGRESS = f"{_OF} AND egress = :egress"
_RENEW = (
    "UPDATE leases SET expires_at_ms = :until_ms, "
    "last_cycle_ms = COALESCE(:now_ms - CAST({ago} ->> account AS BIGINT), last_cycle_ms) "
    "WHERE environment = :environment AND worker = :worker"
)
_ONE = f"{_OF} AND account = :account"
_TAKE = (
    "UPDATE leases SET worker = :worker, epoch = :epoch, since_ms = :since_ms, "
    "expires_at_ms = :expires_at_ms, handed_over = NULL "
    "WHERE environment = :environment AND account = :account"
)
_GIVE_BACK = (
    "UPDATE leases SET worker = NULL, expires_at_ms = 0, "
    "handed_over = CASE WHEN :is_orderly = 1 THEN {origin} END "
    "WHERE environment = :environment AND account = :account AND worker = :worker AND epoch = :epoch"
)


class SqlLeases:
    """Of one environment. Every method raises JournalUnavailable; a write is durable when it returns."""

    def __init__(self, store: Store, environment: str) -> None:
        self._store = store
        self._environment = environment
        self._give_back = _GIVE_BACK.format(origin=store.origin)
        self._renew = _RENEW.format(ago=store.json.format("ago"))

    async def look(self, egress: str) -> FleetView:
        """What is true of an egress now."""
        return await self._store.read(lambda session: self._view(session, egress))

    async def beat(
        self,
        worker: Worker,
        accounts: Collection[str],
        lease_ms: int,
        *,
        ago_ms: Mapping[str, int] = NOTHING,
        is_leaving: bool = False,
    ) -> FleetView:
        """Says that the worker lives, and renews what it holds; `accounts` are those of its egress.

        `ago_ms`: by account, how long ago its last cycle ended. `is_leaving`: the worker renews what it still
        holds, and is counted with no more.
        """

        def beat(session: Session) -> FleetView:
            now_ms = self._now_ms(session)
            until_ms = now_ms + lease_ms
            row = fleet_workers.row_of(self._environment, worker, now_ms, now_ms if is_leaving else until_ms)
            fleet_workers.put_in(session, row, now_ms, until_ms)
            self._make_known(session, worker.egress, accounts)
            renewed = {"until_ms": until_ms, "environment": self._environment, "worker": worker.name}
            session.execute(self._renew, {**renewed, "now_ms": now_ms, "ago": json.dumps(dict(ago_ms))})
            return self._view(session, worker.egress)

        return await self._store.write(beat)

    async def take(self, worker: Worker, wanted: Sequence[Lease], lease_ms: int) -> list[Tenure]:
        """Takes those of `wanted`, as they were seen, that nobody else has taken meanwhile."""

        def take(session: Session) -> list[Tenure]:
            ordered = sorted(wanted, key=lambda item: item.account)  # two who take can't wait in a circle
            found = (self._take(session, worker, seen, lease_ms) for seen in ordered)
            return [tenure for tenure in found if tenure is not None]

        return await self._store.write(take)

    async def give_back(self, tenures: Collection[Tenure], *, is_orderly: bool) -> None:
        """Frees them for others. `is_orderly`: nothing of the worker's own is under way any more."""

        def give(session: Session) -> None:
            for tenure in sorted(tenures, key=lambda item: item.account):
                session.execute(
                    self._give_back,
                    {
                        "environment": self._environment,
                        "account": tenure.account,
                        "worker": tenure.worker,
                        "epoch": tenure.epoch,
                        "is_orderly": int(is_orderly),
                    },
                )

        await self._store.write(give)

    async def use(self, worker: Worker, wanted: int, counted: int, limit: int) -> int:
        """Writes down how many requests in 5 s the worker may ask for: `wanted`, or fewer beside the others'.

        Not fewer than `counted`, which the exchange may still be counting. Returns what was written; 0 where
        the worker's own lease is over.
        """

        def use(session: Session) -> int:
            callers = self._callers(session, worker.egress, self._now_ms(session), self._store.locked_row)
            now_ms = self._now_ms(session)  # whoever held the rows may have taken long
            calls = max(counted, min(wanted, most_calls(callers, worker.name, limit, now_ms)))
            return fleet_workers.use(session, worker.name, calls, now_ms)

        return await self._store.write(use)

    async def leave(self, worker: str, *, calls: int = 0) -> None:
        """The worker is no more: the others' shares grow at once. Its last `calls` count for 5 s more."""
        await self._store.write(
            lambda session: fleet_workers.leave(session, worker, calls, self._now_ms(session))
        )

    async def register(self) -> FleetRegister:
        """The database's time, every lease and every worker of the last day, of all egresses."""

        def everything(session: Session) -> FleetRegister:
            leases = session.rows(f"{_OF} ORDER BY egress, account", {"environment": self._environment})
            return FleetRegister(
                now_ms=self._now_ms(session),
                leases=tuple(map(_lease_of, leases)),
                workers=fleet_workers.everyone(session),
            )

        return await self._store.read(everything)

    def _take(self, session: Session, worker: Worker, seen: Lease, lease_ms: int) -> Tenure | None:
        named = {"environment": self._environment, "account": seen.account}
        statement = _ONE.replace("*", f"leases.*, {self._store.origin} AS origin")
        rows = session.rows(f"{statement} {self._store.locked_row}", named)
        taken = None
        if rows:
            taken = _lease_of(rows[0]).taken(worker.name, seen.epoch, self._now_ms(session), lease_ms)
        if taken is None:
            return None
        values = {"epoch": taken.epoch, "since_ms": taken.since_ms, "expires_at_ms": taken.expires_at_ms}
        session.execute(_TAKE, {**named, **values, "worker": worker.name})
        return Tenure(
            account=seen.account,
            worker=worker.name,
            epoch=taken.epoch,
            is_orderly=rows[0]["handed_over"] == rows[0]["origin"],
        )

    def _make_known(self, session: Session, egress: str, accounts: Collection[str]) -> None:
        of_egress = {"environment": self._environment, "egress": egress}
        if {row["account"] for row in session.rows(_OF_EGRESS, of_egress)}.issuperset(accounts):
            return  # as ever, but at the first beat: all leases of a large fleet are many rows
        rows = session.rows(_OF, {"environment": self._environment})
        known = {row["account"]: row["egress"] for row in rows}
        for account in sorted(accounts):
            if known.get(account) != egress:
                statement = _MOVE if account in known else _ADD
                values = {"environment": self._environment, "account": account, "egress": egress}
                session.execute(statement, values)

    def _view(self, session: Session, egress: str) -> FleetView:
        now_ms = self._now_ms(session)
        leases = session.rows(_OF_EGRESS, {"environment": self._environment, "egress": egress})
        callers = self._callers(session, egress, now_ms)
        alive = [item.name for item in callers if item.is_alive(now_ms)]
        return FleetView(now_ms=now_ms, leases=tuple(map(_lease_of, leases)), workers=alive, callers=callers)

    def _callers(self, session: Session, egress: str, now_ms: int, how: str = "") -> tuple[Worker, ...]:
        return fleet_workers.behind(session, self._environment, egress, now_ms, how)

    def _now_ms(self, session: Session) -> int:
        (found,) = session.rows(f"SELECT {self._store.now_ms} AS now_ms")
        return int(found["now_ms"])


def _lease_of(row: Row) -> Lease:
    return Lease(
        account=row["account"],
        egress=row["egress"],
        worker=row["worker"],
        epoch=row["epoch"],
        expires_at_ms=row["expires_at_ms"],
        since_ms=row["since_ms"],
        last_cycle_ms=row["last_cycle_ms"],
    )
