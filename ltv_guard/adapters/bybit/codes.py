"""The exchange's codes: what each leaves of a write, in words, and what has to change. One table. Pure.

Codes of v5/error, of both loan products and of transfers. `docs/operations.md` lists them; a test holds the
two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ltv_guard.core.model.errors import Remedy


class WriteOutcome(StrEnum):
    """What a code leaves of a write."""

    UNKNOWN = "unknown"
    LIMITED = "limited"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Meaning:
    """One code: what it leaves of a write, in words, and what has to change where it was refused.

    `mend` is what a person does about it. `whole_address`: the limit is that of this machine's address.
    """

    outcome: WriteOutcome
    words: str
    remedy: Remedy | None = None
    mend: str = ""
    whole_address: bool = False


def _unknown(words: str) -> Meaning:
    return Meaning(WriteOutcome.UNKNOWN, words)


def _refused(remedy: Remedy, words: str) -> Meaning:
    return Meaning(WriteOutcome.REJECTED, words, remedy)


def _human(words: str, mend: str) -> Meaning:
    return Meaning(WriteOutcome.REJECTED, words, Remedy.HUMAN, mend)


_DUPLICATE = _unknown("a duplicate request: an earlier one may have landed")
_BUSY = _unknown("the exchange is busy")
_AGAIN = _unknown("the exchange asks to try again")
_CONFLICT = _unknown("it conflicts with another operation")
_TIMESTAMP = _refused(Remedy.CLOCK, "the timestamp was outside the receive window")
_OVER_BALANCE = _refused(Remedy.BALANCE, "more than the balance or the maximum")
_OVER_LTV = _refused(Remedy.MAXIMUM, "the LTV would be over the limit")
_PLATFORM = _refused(Remedy.COIN, "the platform's limit for this collateral is reached")
_NOT_TAKEN = _refused(Remedy.NOT_TAKEN, "the coin is not taken")
_DECIMALS = _refused(Remedy.PRECISION, "the amount has too many decimals")
_PARAMETER = _refused(Remedy.NEVER, "a parameter is not acceptable")
_NO_DEBT = _refused(Remedy.DEBT, "there is nothing, or less, to repay")
_NO_LOAN = _refused(Remedy.GONE, "there is no such loan")
_EXPIRED = _human("the API key has expired", "make a new key, and write it into the files of the old one")
_VERIFY = _human("the account needs to be verified (KYC)", "verify it in the exchange's app")
_RISK = _human("the exchange's risk control forbids it", "ask the exchange's support")
_ACCOUNT = _human("the exchange does not let this account do it", "ask the exchange's support")
_NEW_KEY = "copy key and secret anew, from the environment that exchange.environment names"

MEANINGS: Mapping[int, Meaning] = {
    # Nobody can tell whether it was carried out.
    10000: _unknown("the server timed out"),
    10016: _unknown("an error inside the exchange"),
    10014: _DUPLICATE,
    177018: _DUPLICATE,
    177002: _BUSY,
    148019: _BUSY,
    148021: _AGAIN,
    148026: _AGAIN,
    148034: _CONFLICT,
    148035: _CONFLICT,
    148036: _CONFLICT,
    148041: _CONFLICT,
    177021: _CONFLICT,
    131214: _unknown("the transferId exists: an earlier one may have landed"),
    131230: _AGAIN,
    # Too many requests: not carried out as far as known.
    10006: Meaning(WriteOutcome.LIMITED, "too many requests of this user"),
    10018: Meaning(WriteOutcome.LIMITED, "too many requests from this address", whole_address=True),
    # The clock.
    10002: _TIMESTAMP,
    -1: _TIMESTAMP,
    # The key, the address or the account.
    10003: _human(
        "the API key is not valid here; most often it belongs to another environment "
        "(check exchange.environment: mainnet and testnet keys differ)",
        _NEW_KEY,
    ),
    10004: _human(
        "the signature does not match: check the API secret or the RSA key",
        "copy the secret anew: the exchange shows it once, when the key is made",
    ),
    10005: _human(
        "the API key lacks a permission: it needs Spot trade, and Account Transfer to move coins",
        "give the key 'Spot trade', read-write (and 'Account Transfer' to move coins)",
    ),
    10007: _human("the user could not be authenticated: check the API key", _NEW_KEY),
    10008: _human(
        "the account is banned, or in a mode that does not have this endpoint",
        "look at the account's state and mode in the exchange's app",
    ),
    10009: _human(
        "the exchange's service is restricted in your region",
        "run it from where the exchange serves you, or use the exchange's site for your region (base_url)",
    ),
    10010: _human(
        "the API key is bound to other addresses than this machine's",
        "bind the key to this machine's public address, or run it where the key may be used",
    ),
    10024: _human(
        "the exchange's compliance rules forbid it for this account",
        "answer what the exchange asks in its app, or ask its support",
    ),
    10027: _human("the account is banned from trading", "ask the exchange's support"),
    10028: _human(
        "the exchange serves this only to accounts of another kind",
        "look at the account's type in the exchange's app",
    ),
    33004: _EXPIRED,
    -2015: _EXPIRED,
    131004: _VERIFY,
    131202: _ACCOUNT,
    131204: _VERIFY,
    131209: _ACCOUNT,
    131217: _RISK,
    131226: _RISK,
    131232: _ACCOUNT,
    # The balance, or the exchange's maximum.
    177011: _refused(Remedy.BALANCE, "not enough balance in the Funding wallet"),
    148012: _refused(Remedy.BALANCE, "insufficient collateral amount: less of the coin is there than asked"),
    148029: _OVER_BALANCE,
    148037: _OVER_BALANCE,
    131212: _refused(Remedy.BALANCE, "not enough balance in the Unified account"),
    131213: _refused(Remedy.BALANCE, "the Unified account needs it for its own positions"),
    131228: _refused(Remedy.BALANCE, "not enough balance in the account"),
    177013: _refused(Remedy.MAXIMUM, "the reduction is larger than the maximum"),
    177016: _OVER_LTV,
    148009: _OVER_LTV,
    # The coin.
    177015: _PLATFORM,
    148006: _PLATFORM,
    148048: _refused(Remedy.COIN, "the platform takes no more of this collateral: use another coin"),
    131239: _PLATFORM,
    148004: _refused(Remedy.NOT_TAKEN, "the coin is not taken as collateral"),
    148014: _NOT_TAKEN,
    177006: _NOT_TAKEN,
    177017: _NOT_TAKEN,
    177020: _NOT_TAKEN,
    131229: _NOT_TAKEN,
    131231: _NOT_TAKEN,
    131233: _NOT_TAKEN,
    # The amount.
    148047: _refused(Remedy.SMALLER, "more than about 300,000 USD in one repayment with collateral"),
    148002: _refused(Remedy.LARGER, "the amount is below the minimum"),
    177004: _DECIMALS,
    148003: _DECIMALS,
    148005: _DECIMALS,
    148028: _DECIMALS,
    148042: _DECIMALS,
    131210: _DECIMALS,
    # The request.
    10001: _PARAMETER,
    10017: _refused(Remedy.NEVER, "there is no such route"),
    10029: _refused(Remedy.NEVER, "the symbol is not one that may be asked for"),
    177003: _PARAMETER,
    177019: _PARAMETER,
    148039: _PARAMETER,
    148040: _PARAMETER,
    131203: _PARAMETER,
    131207: _refused(Remedy.NEVER, "the account does not exist"),
    131208: _refused(Remedy.NEVER, "the transfer is forbidden"),
    131211: _refused(Remedy.NEVER, "both accounts are the same"),
    131215: _refused(Remedy.NEVER, "the amount is not acceptable"),
    # The loan.
    177010: _NO_DEBT,
    148032: _NO_DEBT,
    148033: _NO_DEBT,
    148038: _NO_DEBT,
    177005: _NO_LOAN,
    148013: _NO_LOAN,
    148023: _NO_LOAN,
    148027: _NO_LOAN,
    148031: _refused(Remedy.LIQUIDATION, "the loan is being liquidated"),
}
# If it turns out to have had no effect, it was a refusal of that coin: the next one has its turn.
UNLISTED = Meaning(WriteOutcome.UNKNOWN, "a code that is not known", Remedy.COIN)
