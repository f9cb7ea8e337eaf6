"""What holds a decision back, as a value: sentences are made of it for people, and never read back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

UNLIMITED = Decimal("Infinity")


class Limit(StrEnum):
    """Every kind of constraint. The first ones leave an amount; the others none, or a step, or only time."""

    FUNDING = "funding"
    FUNDING_UNREAD = "funding_unread"
    SETTING = "setting"
    DUE = "due"
    UNIFIED = "unified"
    UNMOVABLE = "unmovable"
    SHARE = "share"
    COUNTED = "counted"
    DOUBTED_PRICE = "doubted_price"
    MAX_REDUCTION = "max_reduction"
    FLEXIBLE_DEBT = "flexible_debt"
    CONTRACT = "contract"
    SALE_LIMIT = "sale_limit"
    COLLATERAL = "collateral"

    PRICE_STEP = "price_step"
    MAX_ADD = "max_add"
    LEAST_TAKEN = "least_taken"
    UNMEASURED = "unmeasured"
    UNPRICED = "unpriced"
    CLOSED = "closed"
    REFUSED = "refused"
    DEFECT = "defect"
    NOTHING_TO_ADD = "nothing_to_add"
    UNIFIED_UNREAD = "unified_unread"
    UNIFIED_COIN_UNREAD = "unified_coin_unread"
    DEBT_UNREAD = "debt_unread"
    ADD_AWAITED = "add_awaited"
    MAY_BE_LEFT = "may_be_left"
    MAY_BE_THERE = "may_be_there"
    FEED_LOST = "feed_lost"
    COINS_MAY_HELP = "coins_may_help"
    NO_GAIN = "no_gain"

    NOT_LOW_FOR_LONG = "not_low_for_long"
    RESTING = "resting"
    INTENT_OPEN = "intent_open"
    ROW_AWAITED = "row_awaited"
    RESCUE_ELSEWHERE = "rescue_elsewhere"
    ADDED_BY_HAND = "added_by_hand"
    CHANGED_BY_OTHERS = "changed_by_others"
    JUST_REPAID = "just_repaid"
    NEEDED_ELSEWHERE = "needed_elsewhere"
    LOANS_UNREAD = "loans_unread"
    PRICES_UNREAD = "prices_unread"
    NOT_BORNE_OUT = "not_borne_out"
    WALLET_UNREAD = "wallet_unread"
    EMERGENCY_FIRST = "emergency_first"
    POOL_LOST = "pool_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """One limit on one coin: it leaves `amount` coins (FEED_LOST: an LTV); None where it leaves no choice.

    SETTING is any cap or reserve of the operator's: `key` says which, and `setting` how much it is. `words`
    are the exchange's, or a defect's: they are passed on, never compared with ours. `repaying`: it is named
    beside what holds back another kind of help.
    """

    kind: Limit
    coin: str | None = None
    amount: Decimal | None = None
    key: str = ""
    setting: Decimal | None = None
    words: str = ""
    repaying: bool = False

    @property
    def leaves(self) -> Decimal:
        """Coins that it leaves; infinite where it sets no bound."""
        return UNLIMITED if self.amount is None else self.amount

    @property
    def what(self) -> Constraint:
        """The same but for how much is left, which changes all the time: for telling whether it is news."""
        return replace(self, amount=None)


def of_setting(key: str, coin: str, leaves: Decimal, *, setting: Decimal) -> Constraint:
    """What a cap or a reserve of the operator's leaves."""
    return Constraint(kind=Limit.SETTING, coin=coin, amount=leaves, key=key, setting=setting)


def tightest(constraints: Sequence[Constraint]) -> Decimal:
    """What the tightest of them leaves, in coins; infinite where there is none."""
    return min((item.leaves for item in constraints), default=UNLIMITED)


def below(constraints: Sequence[Constraint], wanted: Decimal) -> tuple[Constraint, ...]:
    """Those that leave less than is wanted."""
    return tuple(item for item in constraints if item.leaves < wanted)
