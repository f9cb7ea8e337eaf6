"""What one cycle works with: how the account is guarded, what was seen, what came of it. Pure values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import chain
from operator import attrgetter

from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.decide.facts import AccountFacts
from ltv_guard.core.decide.quotes import Quotes
from ltv_guard.core.model.contracts import Contract
from ltv_guard.core.model.defects import Defect
from ltv_guard.core.model.history import History
from ltv_guard.core.model.intents import Intent
from ltv_guard.core.model.loan_book import LoanBook, SetAside
from ltv_guard.core.model.loans import Channel, Direction, Loan, LoanKey, Moment, Product
from ltv_guard.core.model.timing import TIMING, Timing
from ltv_guard.core.model.withheld import Withheld
from ltv_guard.core.ports import Episode, Pause
from ltv_guard.core.reconcile.settlement import SettlementTimeouts
from ltv_guard.guard.appraised import Appraised, Awake, Rest
from ltv_guard.guard.lane import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardOptions:
    """How one account is guarded. Spans in ms; `continuous`: the journal is the one last written to.

    `transfers`: coins may be moved here from the Unified account. `short_wait_s`: how long what can be done
    without is waited for, in an emergency the wallet; `grace_s`: how much longer than for all else what is
    hardly needed is, for orders the prices. `timing`: what no key sets.
    """

    account: str
    environment: str
    live: bool = False
    poll_interval_ms: int = TIMING.poll_interval_ms
    max_snapshot_age_ms: int = TIMING.max_snapshot_age_ms
    blind_after_cycles: int = TIMING.blind_after_cycles
    recv_window_ms: int = TIMING.recv_window_ms
    timeouts: SettlementTimeouts = field(default_factory=SettlementTimeouts)
    timing: Timing = TIMING
    continuous: bool = True
    transfers: bool = False
    short_wait_s: float = 1.0
    grace_s: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleResult:
    """What a cycle came to: `blind` could not read the loans; `left_open` intents are not settled yet.

    `slow`: what it had read was too old to be acted on. `busy`: looking again soon is worth while. `waits`:
    there is something to do that only time holds up (a new journal, facts that are not fresh yet).
    `trusts_journal`: nothing can have been sent that the journal does not know of. `withheld`: why nothing
    was sent. `wallet`: the Funding wallet, where it was read. `in_haste`: of a long list only what is urgent
    was read, so that all of it is to be read next. `goes_on`: loans still wait for their turns to write.
    `asked`: the moment before each loan's own page was asked for. `adjusted`: loans as they will be shown
    once what the exchange has accepted for them has landed. `contracts`: the pool's, as they were read last.
    """

    loans: int = 0
    actions: int = 0
    left_open: int = 0
    blind: bool = False
    slow: bool = False
    busy: bool = False
    waits: bool = False
    trusts_journal: bool = False
    why_blind: str = ""
    withheld: Withheld | None = None
    wallet: Mapping[str, Decimal] | None = None
    in_haste: bool = False
    goes_on: bool = False
    asked: Mapping[LoanKey, Moment] = field(default_factory=dict)
    adjusted: Mapping[LoanKey, Loan] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()
    set_aside: tuple[SetAside, ...] = ()
    contracts: tuple[Contract, ...] = ()
    account: AccountFacts | None = None

    @property
    def to_keep(self) -> CycleResult:
        """Without the facts of each loan: 1 MB of a thousand loans that a daemon has no use for."""
        account = None if self.account is None else replace(self.account, loans=())
        return replace(self, account=account)


@dataclass(frozen=True, slots=True)
class TooOld:
    """A decision that was not acted on, for what it was made from was `age_ms` old by then."""

    decision: Decision
    age_ms: int


@dataclass(slots=True)
class Snapshot:
    """What one cycle has read so far, and what it has written down since (`begun`, by intent id).

    `quotes` and `appraised` are what the reads amount to: an error of ours, where one was in the way.
    `at_rest`: in haste, loans whose decisions stand as the last whole read made them, and are not made again.
    `account`: what was decided on last. `before`: loans as they were before they were read again. `sweep_ms`:
    how long the slowest product's whole read took. `in_part`: not all loans were read; `lacks_known`: known
    ones among them, or pages of a list. `by_pages`: in haste, for what the first pages of a list showed.
    `in_haste`, `goes_on`: as in the result. `lanes`: as they were when the cycle had acted.
    """

    books: dict[Product, LoanBook] = field(default_factory=dict)
    histories: dict[Channel, History] = field(default_factory=dict)
    asked: set[Channel] = field(default_factory=set)
    open_intents: tuple[Intent, ...] = ()
    episodes: dict[LoanKey, Episode] = field(default_factory=dict)
    pauses: tuple[Pause, ...] = ()
    wallet: Mapping[str, Decimal] | None = None
    wallet_began: Moment | None = None
    wallet_is_old: bool = False
    spare_coins: frozenset[str] = frozenset()
    asked_coins: frozenset[str] = frozenset()
    unified: Mapping[str, Decimal] | None = None
    prices: Mapping[str, Decimal] | None = None
    prices_again: Mapping[str, Decimal] | None = None
    quotes: Quotes | None = None
    appraised: dict[LoanKey, Appraised | Defect] = field(default_factory=dict)
    at_rest: Rest = field(default_factory=Rest)
    account: AccountFacts | None = None
    before: dict[LoanKey, Loan] = field(default_factory=dict)
    withheld: Withheld | None = None
    begun: dict[str, Intent] = field(default_factory=dict)
    sweep_ms: int = 0
    in_part: bool = False
    lacks_known: bool = False
    in_haste: bool = False
    by_pages: bool = False
    goes_on: bool = False
    too_old: list[TooOld] = field(default_factory=list)
    lanes: tuple[Lane, ...] = ()
    _awake: Awake | None = None

    @property
    def open_now(self) -> tuple[Intent, ...]:
        """What was open when the cycle had settled, and what it has begun since."""
        return (*self.open_intents, *(item for item in self.begun.values() if item.is_open))

    def open_of(self, key: LoanKey) -> tuple[Intent, ...]:
        """What of it is one loan's."""
        if not (self.open_intents or self.begun):
            return ()
        return tuple(intent for intent in self.open_now if intent.key == key)

    @property
    def loans(self) -> tuple[Loan, ...]:
        """Every loan that was read, of all products."""
        loans = [book.loans for book in self.books.values()]
        return loans[0] if len(loans) == 1 else tuple(chain.from_iterable(loans))

    def awake(self, rest: Rest) -> Sequence[Loan]:
        """Those that are not of `rest`: looked for once, though every step of a decision asks."""
        loans = self.loans
        if self._awake is None or not self._awake.are_of(rest, loans):
            self._awake = Awake(rest, loans, rest.awake(loans))
        return self._awake.found

    @property
    def newest_prices(self) -> Mapping[str, Decimal] | None:
        """USD a coin, as they were read last; None: not read."""
        return self.prices_again or self.prices

    @property
    def believed_prices(self) -> Mapping[str, Decimal] | None:
        """What the reads of prices amount to (USD a coin); None: there was none."""
        return None if self.quotes is None else self.quotes.prices

    def is_long(self, product: Product) -> bool:
        """Whether the product's loans are more than one page."""
        return self.books[product].pages > 1

    def asked_at(self, key: LoanKey) -> Moment:
        """What is shown of the loan is not older than this."""
        return self.books[key.product].asked_at(key)

    @property
    def loans_asked(self) -> dict[LoanKey, Moment]:
        """The same of each."""
        asked: dict[LoanKey, Moment] = {}
        for book in self.books.values():
            if len(book.asked) < len(book.loans):  # else it tells of each
                asked |= dict.fromkeys((loan.key for loan in book.loans), book.began)
            asked |= book.asked
        return asked

    def facts_began(self, decision: Decision) -> Moment:
        """Nothing that the decision was made from is older than this.

        A release is made on nothing old at all: a loan that was not looked at may need the coins.
        """
        return self.began if decision.direction is Direction.REDUCE else self.asked_at(decision.loan.key)

    def note_if_too_old(self, decision: Decision, now: Moment, longest_ms: int) -> bool:
        """Whether the decision is too old to be acted on; noted, for the end of the cycle."""
        age_ms = now.ms_since(self.facts_began(decision))
        if age_ms > longest_ms:
            self.too_old.append(TooOld(decision, age_ms))
            return True
        return False

    def source_of(self, direction: Direction) -> Mapping[str, Decimal] | None:
        """The wallet that takes or gives coins of such a write; None: one that proves nothing."""
        return self.unified if direction is Direction.TRANSFER else self.wallet_as_read

    @property
    def wallet_as_read(self) -> Mapping[str, Decimal] | None:
        """The wallet without older balances, which prove nothing; None where it is of an earlier read."""
        if self.wallet is None or self.wallet_is_old:
            return None
        return {coin: amount for coin, amount in self.wallet.items() if coin not in self.spare_coins}

    def unread_coins(self, wallet: Mapping[str, Decimal] | None) -> frozenset[str]:
        """Coins whose balance was asked for and could not be read, in a wallet whose others were."""
        return frozenset() if wallet is None else self.asked_coins - wallet.keys()

    def fill_unread(self, spare: Mapping[str, Decimal] | None) -> None:
        """Coins of a wallet that was read, but theirs was not: the balances of `spare` count for them."""
        if self.wallet is not None and spare is not None:
            self.spare_coins = self.unread_coins(self.wallet) & spare.keys()
            self.wallet = {**self.wallet, **{coin: spare[coin] for coin in self.spare_coins}}

    def renew_spare(self, spare: Mapping[str, Decimal] | None) -> None:
        """What counts for balances that were not read, as it is known by now."""
        if self.wallet is not None and spare is not None:
            coins = self.wallet.keys() if self.wallet_is_old else self.spare_coins
            self.wallet = {**self.wallet, **{coin: spare[coin] for coin in coins & spare.keys()}}

    @property
    def last_asked(self) -> Moment | None:
        """When the last request for loans left; None: there was none."""
        moments = chain.from_iterable((book.began, *book.asked.values()) for book in self.books.values())
        return max(moments, key=attrgetter("monotonic_ms"), default=None)

    @property
    def began(self) -> Moment:
        """The oldest of its reads: nothing in it is older than this."""
        return min((book.began for book in self.books.values()), key=lambda moment: moment.monotonic_ms)
