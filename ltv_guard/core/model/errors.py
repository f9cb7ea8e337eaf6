"""Errors, named by their remedy. Each has one meaning."""

from __future__ import annotations

from enum import StrEnum


class GuardError(Exception):
    """Whatever ltv-guard itself raises. `mend` says what a person can do about it, where that is known."""

    mend: str = ""


class ExchangeUnavailable(GuardError):
    """The exchange could not be read. Try again next cycle."""

    def __init__(self, message: str, *, mend: str = "") -> None:
        super().__init__(message)
        self.mend = mend


class ExchangeBanned(ExchangeUnavailable):
    """HTTP 403: every request to the host must stop for `retry_in_s` seconds."""

    def __init__(self, message: str, *, retry_in_s: float) -> None:
        super().__init__(message)
        self.retry_in_s = retry_in_s


class NeedsHuman(GuardError):
    """Key, permission, address or account: only a person can mend it. Stop writing for the account."""

    def __init__(self, message: str, *, code: int | None = None, mend: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.mend = mend


class WriteError(GuardError):
    """A write did not end well; the subclass says what is known of it."""

    def __init__(self, message: str, *, code: int | None = None, mend: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.mend = mend


class WriteNotSent(WriteError):
    """No connection was made: the exchange cannot have seen it. A new intent may follow at once."""


class Remedy(StrEnum):
    """What has to change before a refused write could succeed."""

    CLOCK = "measure the clock offset"
    HUMAN = "a person must mend the key or the account"
    BALANCE = "read balance and maximum again"
    MAXIMUM = "read the maximum again"
    COIN = "the platform takes no more of this coin"
    NOT_TAKEN = "this coin is not taken: another one"
    SMALLER = "a smaller amount"
    LARGER = "a larger amount"
    PRECISION = "fewer decimals"
    NEVER = "the same body will never be accepted"
    DEBT = "read the debt again"
    GONE = "the loan is gone: read again"
    LIQUIDATION = "the loan is being liquidated"


class WriteRejected(WriteError):
    """The exchange refused it, provably. Final; `remedy` says what has to change first."""

    def __init__(self, message: str, *, code: int, remedy: Remedy, mend: str = "") -> None:
        super().__init__(message, code=code, mend=mend)
        self.remedy = remedy


class WriteOutcomeUnknown(WriteError):
    """It may have been applied, or may yet be. Settle it from the history before anything else.

    `remedy`: what the answer asks for all the same. HUMAN: nothing more is written for the account.
    COIN: once it is known to have had no effect, it was a refusal of that coin. `came_too_soon`: it was
    answered that these are too many requests.
    """

    came_too_soon = False

    def __init__(
        self, message: str, *, code: int | None = None, remedy: Remedy | None = None, mend: str = ""
    ) -> None:
        super().__init__(message, code=code, mend=mend)
        self.remedy = remedy


class JournalUnavailable(GuardError):
    """The journal can't be read or written. Nothing is sent without it."""


class JournalMissing(JournalUnavailable):
    """There is no journal yet where one was looked for, and none was made."""


class LeaseLost(JournalUnavailable):
    """Another worker of the fleet holds `account`, or may: nothing was written, and nothing more may be."""

    def __init__(self, message: str, *, account: str) -> None:
        super().__init__(message)
        self.account = account


class AlreadyOpen(GuardError):
    """The loan has an open intent already: the database refused a second."""


class ImpossibleTransition(GuardError):
    """An intent was asked to go where its table does not lead. A bug, never the world's fault."""
