"""A worker's journal: what it writes for a user, it writes only under the lease of that user's account."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from ltv_guard.adapters.journal.records import owner_row
from ltv_guard.adapters.journal.session import Session, Violation
from ltv_guard.adapters.journal.sql import SqlJournal
from ltv_guard.adapters.journal.store import Store
from ltv_guard.core.model.errors import JournalUnavailable, LeaseLost
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.leases import Lease, Tenure
from ltv_guard.core.model.loans import Owner

T = TypeVar("T")

_OF_ACCOUNT = "SELECT * FROM leases WHERE environment = :environment AND account = :account"
_IS_OF = (
    "UPDATE leases SET user_id = :user_id WHERE environment = :environment AND account = :account "
    "AND worker = :worker AND epoch = :epoch"
)
# An account that was renamed: nobody holds the old name any more.
_IS_NOT_OF = (
    "UPDATE leases SET user_id = NULL WHERE environment = :environment AND user_id = :user_id "
    "AND account <> :account AND (worker IS NULL OR expires_at_ms <= {now_ms})"
)


class FleetJournal(SqlJournal):
    """A `SqlJournal` for one worker of several. Its claim on a user is the tenure of a lease.

    Every write for a user checks, in its own transaction and under the row's lock, that the lease has the
    epoch it was taken at; the one that marks an intent sent, at its end, that it has not expired either. What
    is refused raises LeaseLost, and nothing was written.
    """

    def __init__(self, store: Store, *, is_new: bool) -> None:
        super().__init__(store, is_new=is_new)
        self.refused: Counter[str] = Counter()
        """By account, how many writes were refused."""
        self._tenures: dict[str, Tenure] = {}
        self._accounts: dict[Owner, str] = {}

    def hold(self, tenure: Tenure) -> None:
        """From now on what is written for the account is written under this tenure."""
        self._tenures[tenure.account] = tenure

    def let_go(self, account: str) -> None:
        """From now on nothing is written for the account."""
        self._tenures.pop(account, None)

    async def claim_for(self, account: str, owner: Owner) -> None:
        """Says whose account it is. Raises LeaseLost, JournalUnavailable where another account is his too."""
        tenure = self._tenures.get(account)
        if tenure is None:
            raise self._lost(account)
        named = {**owner_row(owner), "account": account, "worker": tenure.worker, "epoch": tenure.epoch}

        def claim(session: Session) -> bool:
            session.execute(
                _IS_NOT_OF.format(now_ms=self._store.now_ms),
                {key: named[key] for key in ("environment", "user_id", "account")},
            )
            try:
                return session.execute(_IS_OF, named) == 1
            except Violation as error:
                raise JournalUnavailable(
                    f"the {owner.environment} user {owner.user_id} of accounts.{account} is guarded under "
                    "another account's name by another worker: give all workers the same accounts"
                ) from error

        if not await self._store.write(claim):
            raise self._lost(account)
        self._accounts[owner] = account

    async def _write_for(self, owner: Owner, work: Callable[[Session], T]) -> T:
        def under_the_lease(session: Session) -> T:
            if not self._store.shares_user(session, owner):
                raise JournalUnavailable(
                    f"an ltv-guard without fleet.enabled guards the {owner.environment} user {owner.user_id} "
                    "with this journal: stop it first"
                )
            self._check(session, owner, is_sending=False)
            return work(session)

        return await self._store.write(under_the_lease, owner)

    def _note_sent(self, session: Session, intent: Intent) -> None:
        self._check(session, intent.owner, is_sending=True)
        super()._note_sent(session, intent)

    def _check(self, session: Session, owner: Owner, *, is_sending: bool) -> None:
        account = self._accounts.get(owner, "")
        tenure = self._tenures.get(account)
        named = {"environment": owner.environment, "account": account}
        clock = f"leases.*, {self._store.now_ms} AS now_ms"
        rows = session.rows(f"{_OF_ACCOUNT.replace('*', clock)} {self._store.locked_row}", named)
        if tenure is None or not rows or rows[0]["user_id"] != owner.user_id:
            raise self._lost(account)
        row = rows[0]
        lease = Lease(
            account=account,
            egress=row["egress"],
            worker=row["worker"],
            epoch=row["epoch"],
            expires_at_ms=row["expires_at_ms"],
        )
        is_good = lease.allows_sending(tenure, row["now_ms"]) if is_sending else lease.allows(tenure)
        if not is_good:
            raise self._lost(account)

    def _lost(self, account: str) -> LeaseLost:
        self.refused[account] += 1
        return LeaseLost(
            f"the lease of accounts.{account} is not this worker's any more: nothing was written",
            account=account,
        )
