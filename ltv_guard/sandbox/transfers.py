"""Transfers between a user's wallets: asked for once under each id, carried out at once or later."""

from __future__ import annotations

from ltv_guard.sandbox.books import Books, take_due, too_fine
from ltv_guard.sandbox.market import Moment
from ltv_guard.sandbox.records import Handling, Transfer
from ltv_guard.sandbox.refusals import TRANSFER, Refusal, refusal


class Transfers:
    """All transfers of all users, oldest first in `rows`, by transfer id. Amounts in coins."""

    def __init__(self, books: Books) -> None:
        self.rows: dict[str, Transfer] = {}
        self._books = books
        self._waiting: list[Transfer] = []

    def ask(self, wanted: Transfer, moment: Moment, handling: Handling) -> Transfer:
        """Moves coins. Raises Refusal, and moves nothing. An id that was used is never used again."""
        self._check(wanted)
        self.rows[wanted.transfer_id] = wanted
        wanted.visible_from_s += handling.hidden_s
        wanted.settles_as = "FAILED" if handling.fails else "SUCCESS"
        if handling.processing_s > 0:
            wanted.settles_at_s = moment.real_s + handling.processing_s
            self._waiting.append(wanted)
        else:
            self._settle(wanted, moment)
        return wanted

    def settle(self, moment: Moment) -> None:
        """Carries out what is due."""
        for row in take_due(self._waiting, moment):
            self._settle(row, moment)

    def _check(self, wanted: Transfer) -> None:
        if wanted.amount <= 0:
            raise refusal("amount", TRANSFER, "Amount must be greater than zero")
        if too_fine(wanted.amount, self._books.scenario.terms(wanted.coin).accuracy):
            raise refusal("precision", TRANSFER, "Amount exceeds the coin's precision")
        if wanted.transfer_id in self.rows:
            raise Refusal(131214, "TransferId exist")
        if self._is_short(wanted):
            raise refusal("balance", TRANSFER, "Insufficient balance")

    def _is_short(self, row: Transfer) -> bool:
        return row.amount > self._books.accounts[row.user].balance(row.coin, row.source)

    def _settle(self, row: Transfer, moment: Moment) -> None:
        """Moves the coins now, or fails: they may have gone meanwhile."""
        row.status = "FAILED" if self._is_short(row) else row.settles_as
        if row.status == "FAILED":
            return
        account = self._books.accounts[row.user]
        account.credit(row.coin, -row.amount, row.source)
        account.credit(row.coin, row.amount, row.destination)
        row.applied_ms, row.applied_s = moment.time_ms, moment.real_s
        self._books.changed(account, moment)
