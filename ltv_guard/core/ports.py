"""What the guard needs of the world: Protocols, and the values that cross them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from ltv_guard.core.model.contracts import ContractList
from ltv_guard.core.model.history import History
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loan_book import LoanBook, LoanEnd
from ltv_guard.core.model.loans import Channel, Loan, LoanKey, Moment, Owner, Product


class Clock(Protocol):
    """Time as the exchange tells it, carried forward by the monotonic clock: wall clock jumps don't show."""

    def now(self) -> Moment:
        """Both clocks at this instant."""

    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds of the monotonic clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who an API key belongs to, what it may do, and until when (v5/user/apikey-info); None: for ever.

    `expires_at` is ISO 8601.
    """

    user_id: str
    vip_level: str
    read_only: bool
    can_withdraw: bool
    can_adjust: bool
    can_transfer: bool = False
    ip_bound: bool
    expires_at: str | None = None
    expires_at_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedAdjustment:
    """A write that is ready to leave: signed once, for one intent, never again. `path` is where it goes."""

    intent_id: str
    body: bytes
    headers: Mapping[str, str]
    signed_at_ms: int
    recv_window_ms: int
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddity:
    """Something that the exchange answered and no reader understands: passed over, for `why`; `follows`."""

    endpoint: str
    row: str
    why: str
    follows: str


class WritePath(Protocol):
    """One kind of write of an account, and the list in which the exchange shows what came of it."""

    @property
    def channel(self) -> Channel:
        """The product and the kind of write: whose list tells how its writes ended."""

    async def history(self, since_ms: int) -> History:
        """Everything listed since `since_ms` (exchange time). Raises ExchangeUnavailable, NeedsHuman."""

    async def turn(self) -> bool:
        """Waits until a write may leave at once; only `sign` takes the turn. Whether it was waited for."""

    async def sign(self, intent: Intent) -> SignedAdjustment:
        """Waits for the account's turn to write, then signs. Raises ExchangeUnavailable while banned."""

    async def send(self, signed: SignedAdjustment) -> str | None:
        """Sends once and returns the exchange's id of it; None: it was taken, and none came back.

        Raises WriteNotSent, WriteRejected (its remedy may be HUMAN), WriteOutcomeUnknown.
        """


Hear = Callable[[LoanBook], None]


class LoanExchange(WritePath, Protocol):
    """One loan product of one account, and the way to adjust its collateral."""

    product: Product

    def belongs_to(self, identity: Identity) -> None:
        """Whose key it is read with: the terms of some products depend on the VIP level."""

    async def loans(self, hear: Hear | None = None) -> LoanBook:
        """Every loan. Raises ExchangeUnavailable (ListCutShort, with what was read), NeedsHuman.

        `hear` is told of each page of several as it comes: a part of the list, which proves of no loan that
        it is gone.
        """

    async def loan(self, key: LoanKey) -> LoanBook:
        """That loan alone, in one request: nothing in it where it is not listed. Raises as `loans` does."""

    async def end_of(self, loan: Loan) -> LoanEnd | None:
        """How a loan that is no longer listed ended; None where that is not told. Raises as `loans`."""

    async def collateral_coins(self) -> Collection[str]:
        """Coins that its terms take as collateral. Raises ExchangeUnavailable."""

    async def max_reduction(self, loan: Loan, coin: str) -> Decimal:
        """Coins that may be released at this moment. Raises ExchangeUnavailable, NeedsHuman."""


class ContractExchange(Protocol):
    """The contracts that an account's pool owes."""

    async def contracts(self, coin: str) -> ContractList:
        """Those in `coin` that are not repaid. Raises ExchangeUnavailable, NeedsHuman."""


class AccountExchange(Protocol):
    """What is read of an account beside its loans."""

    def keep_ready(self, until_ms: int) -> None:
        """Near a trigger: until then (monotonic ms) this account goes before others, in reads and writes."""

    async def identify(self) -> Identity:
        """Raises ExchangeUnavailable, NeedsHuman."""

    async def wallet(self, coins: Collection[str]) -> Mapping[str, Decimal]:
        """What can leave the Funding wallet, of each of `coins` whose balance could be read.

        Raises ExchangeUnavailable, NeedsHuman.
        """

    async def unified(self, coins: Collection[str]) -> Mapping[str, Decimal]:
        """The same of the Unified account. Raises as `wallet`."""

    async def prices(self, *, again: bool = False) -> Mapping[str, Decimal]:
        """USD per coin; `again`: not those of a moment ago. Raises ExchangeUnavailable."""


class PriceStream(Protocol):
    """Public prices of one host as they change, for all accounts: a hint when to look, never a reason to act.

    Nothing of it raises. Prices are USD per coin.
    """

    @property
    def url(self) -> str:
        """Where it comes from, to be shown to people."""

    @property
    def prices(self) -> Mapping[str, Decimal]:
        """Of now; that of USDT (1) alone while the stream is lost."""

    @property
    def why_lost(self) -> str | None:
        """What is wrong with it; None: nothing, and nothing has been for a while."""

    def follow(self, coins: Collection[str]) -> None:
        """Replaces what was followed before."""

    async def moved(self) -> frozenset[str]:
        """Waits for news; the coins whose price changed: none where it was lost, or is back."""

    async def run(self) -> None:
        """Until it is cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """A loan's rescue: from the moment its LTV reached the trigger until it was at its target."""

    key: LoanKey
    opened_at_ms: int
    closed_at_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """The kill switch, pulled for one account or (None) for all. `until_ms`: when it ends; None: by hand."""

    account: str | None
    reason: str
    since_ms: int
    until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the journal holds that bears on a cycle of one user.

    Intents that are planned, sent, accepted or unknown, the oldest first; the latest episode of each loan,
    open or closed; every pause that holds: of all accounts, and of single ones. `odd_rows`: a sentence for
    each row that makes no sense and could be passed over.
    """

    open_intents: tuple[Intent, ...] = ()
    episodes: tuple[Episode, ...] = ()
    pauses: tuple[Pause, ...] = ()
    odd_rows: tuple[str, ...] = ()


class Journal(Protocol):
    """What is written down. Every method raises JournalUnavailable; a write is durable when it returns."""

    @property
    def restorations(self) -> Sequence[str]:
        """A sentence for each time that it was found, while in use, to have lost what was written to it."""

    async def standing(self, owner: Owner) -> Standing:
        """All of it in one read."""

    async def recent_intents(self, owner: Owner, since_ms: int) -> tuple[Intent, ...]:
        """Intents of any state that were created or updated at or after `since_ms`."""

    async def plan(self, intent: Intent) -> None:
        """Writes a planned intent. Raises AlreadyOpen where its loan has an open one (a rescue: had one)."""

    async def mark_sent(self, intent: Intent, episode: Episode | None = None) -> bool:
        """Writes `intent` (sent), and in the same step its loan's `episode`, as `write_episodes` does.

        False, and nothing is written, while a pause holds for its account.
        """

    async def write_sent(self, intent: Intent, episode: Episode | None = None) -> bool:
        """Writes a new intent as sent, in one step: `plan` and `mark_sent` where nothing waits in between.

        False, and nothing is written, while a pause holds for its account. Raises AlreadyOpen.
        """

    async def record(self, before: Intent, after: Intent) -> None:
        """Writes a transition. Raises JournalUnavailable if `before` is not what the journal holds."""

    async def write_episodes(self, owner: Owner, episodes: Sequence[Episode]) -> None:
        """Writes episodes of loans, each in place of the one before, in one step."""

    async def pauses(self) -> tuple[Pause, ...]:
        """Every pause that holds: of all accounts, and of single ones."""
