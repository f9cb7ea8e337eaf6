"""Transfers between a user's wallets: asked for once under each id, settled at once or later."""

from .books import Books
from .market import Moment
from .records import Handling, Transfer
from .refusals import Refusal


class Transfers:
    """All transfers of all users, oldest first in `rows`, by transfer id. Amounts in coins."""

    def __init__(self, books: Books) -> None:
        self.rows: dict[str, Transfer] = {}
        self._books = books

    def ask(self, wanted: Transfer, moment: Moment, handling: Handling) -> Transfer:
        """Move coins between a user's wallets, once for each transfer id."""
        known = self.rows.get(wanted.transfer_id)
        if known:
            if known.user != wanted.user:
                raise Refusal(10001, "transferId is in use")
            return known
        account = self._books.accounts[wanted.user]
        if wanted.amount > account.balance(wanted.coin, wanted.source):
            raise Refusal(131212, "insufficient balance")
        self.rows[wanted.transfer_id] = wanted
        wanted.settles_as = "FAILED" if handling.fails else "SUCCESS"
        wanted.settles_at_s = moment.real_s + handling.processing_s
        self.settle(moment)
        return wanted

    def settle(self, moment: Moment) -> None:
        """Carry out what is due, or fail it: the coins may have gone meanwhile."""
        for row in self.rows.values():
            if row.status != "PENDING" or row.settles_at_s > moment.real_s:
                continue
            account = self._books.accounts[row.user]
            row.status = row.settles_as
            if row.amount > account.balance(row.coin, row.source):
                row.status = "FAILED"
            if row.status == "SUCCESS":
                account.credit(row.coin, -row.amount, row.source)
                account.credit(row.coin, row.amount, row.destination)
                self._books.changed(account, moment)
