"""A life of a pool with fixed loans, of which the last help is to repay with collateral: what holds in it.

Beside all that holds in every life: what is due is kept outside emergencies; no debt is repaid by more than
its need, and none with collateral where coins could help; none of it costs more than was reckoned with; what
ends badly is told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, TypeVar

from contract_world import DAY_MS, ContractWorld, ModelContracts, a_pool_with_contracts, moves_collateral
from exchange_model import POLICY, a_guard, a_world, key_of
from exchange_world import HAIRCUT, HELD, OWED, POOL, Row, View, WalletView
from send_path import Life, Stretch

from ltv_guard.core.model.contracts import AtEnd
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, Kind, LoanKey
from ltv_guard.core.model.policy import (
    CollateralRepayRule,
    FixedRepayRule,
    RepayRule,
    TransferRules,
    WalletRules,
)
from ltv_guard.guard.cycle import Guard

ZERO = Decimal(0)
TARGET, EMERGENCY = Decimal("0.65"), Decimal("0.80")
MAX_FEE = Decimal("0.01")
BEFORE_MS = 3_600_000
PLENTY = {HELD: Decimal(2), OWED: Decimal(500_000)}
SURE_MS = 12_000  # what has been so for this long is seen by whoever looks
RESTS_MS = 122_000  # twice the longest rest after a refusal
TOLD_WITHIN_MS = 130_000  # of this is the calm at the end
LITTLE = Decimal("0.025")  # of a pool's collateral (debt): for less than that no call is made
SPARE = Decimal("1.012")  # fingerprints, and prices that are some seconds old
Seen = TypeVar("Seen", View, WalletView)
CAPS = {"max_repay": Decimal(4_000), "max_24h": Decimal(10_000)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a life begins. Coins by themselves, `scale` times as many where loans are large."""

    first: str
    pool: str
    shares: Mapping[str, Decimal]
    ends_in_ms: int
    at_end: AtEnd
    btc: str
    usdt: str
    unified: str
    fee: str
    interest: str
    limit: str
    scale: int
    repays: bool
    repays_fixed: bool
    transfers: bool
    capped: bool
    pays_in_part: bool
    pays_after_ms: int


class ContractLife(Life):
    """An order, and a pool with fixed loans."""

    world: ContractWorld
    start: Start
    told: set[tuple[str, object]]
    by_hand: list[int]
    copied: set[str]
    sent_by: dict[str, int]  # by the process of which start each was sent

    def begin_so(self, start: Start) -> None:
        self.start, self.scale, self.told, self.by_hand = start, Decimal(start.scale), set(), []
        self.copied, self.sent_by = set(), {}
        world = a_world(
            start.first,
            pool=start.pool,
            wallet=str(self.scale * Decimal(start.btc)),
            owed=str(self.scale * Decimal(start.usdt)),
            unified=str(self.scale * Decimal(start.unified)),
            held=str(self.scale),
        )
        found = a_pool_with_contracts(
            world,
            start.shares,
            ends_in_ms=start.ends_in_ms,
            at_end=start.at_end,
            fee=Decimal(start.fee),
            hourly_interest=Decimal(start.interest),
            hourly_rate=Decimal(start.interest),
            sale_limit_usd=Decimal(start.limit),
            pays_in_part=start.pays_in_part,
            pays_after_ms=start.pays_after_ms,
        )
        self.begin_with(found)

    def a_guard(self) -> Guard:
        start = self.start
        caps = {OWED: CAPS["max_repay"] * self.scale} if start.capped else {}
        daily = {OWED: CAPS["max_24h"] * self.scale} if start.capped else {}
        policy = replace(
            POLICY,
            repay=RepayRule(enabled=start.repays),
            repay_fixed=FixedRepayRule(enabled=start.repays_fixed, before_ms=BEFORE_MS),
            repay_with_collateral=CollateralRepayRule(enabled=True, max_fee=MAX_FEE, max_repay=caps),
        )
        return a_guard(
            self.world,
            self.journal,
            policy=policy,
            wallet=WalletRules(max_repay_with_collateral_24h=daily),
            transfers=TransferRules(enabled=start.transfers),
            continuous=not self.went_back,
            ids=self.new_id,
            contracts=ModelContracts(self.world),
        )

    def restart(self, journal: Any = None) -> None:  # noqa: ANN401 - as that of any life
        super().restart(journal)
        self.world.contract_reads.clear()

    def heal(self) -> None:
        super().heal()
        world = self.world
        world.contracts_down = world.contracts_odd = world.fixed_repayments_down = False
        world.old_contracts_ms = world.rows_lack_each = 0

    def advance(self, ms: int) -> None:
        super().advance(ms)
        self.note_sales()

    def note_sales(self) -> None:
        """What the exchange sold for an overdue contract is as a part that was liquidated."""
        if self.world.overdue_sold:
            self.world.overdue_sold = False
            self.sold.add(POOL)
            self.disturbed = True

    def hears(self, told: Sequence[MutableMapping[str, Any]]) -> None:
        super().hears(told)
        for line in told:
            if line["event"] in {"adjustment_ambiguous", "loan_overdue"}:
                self.told.add((line["event"], line.get("contract") or line.get("intent_id")))
            if line["event"] == "collateral_sold" and POOL not in self.sold:
                self.check_what_is_told_of_a_fee(line)

    # What the user does

    def disturb(self, stretch: Stretch) -> None:
        self.disturbed = True
        self.live_through(stretch)

    def repay_by_hand(self, what: str, *, with_collateral: bool) -> None:
        """A share of the debt; or just what ours repays."""
        world, amount = self.world, self._amount_by_hand(what, with_collateral=with_collateral)
        self.copied |= {item.intent_id for item in self.on_their_way(POOL) if item.amount == amount}
        if with_collateral:
            world.pay_with_collateral(amount, None)
        else:
            world.repay(POOL, amount, None)

    def _amount_by_hand(self, what: str, *, with_collateral: bool) -> Decimal:
        ours = [
            item.amount
            for item in self.world.sent
            if item.key == POOL
            and item.direction is Direction.REPAY
            and (item.collateral_coin is not None) is with_collateral
        ]
        if what == "as ours" and ours:
            return ours[-1]
        share = Decimal("0.02") if what == "as ours" else Decimal(what)
        return (self.world.loans[POOL].debt * share).quantize(Decimal("0.01"))

    def until_the_next_end(self) -> None:
        """Time passes until a contract is about to end."""
        world = self.world
        left = [item.ends_ms - world.true_ms for item in world.contracts if not item.tried]
        if left and min(left) > 5_000:
            world.advance(min(left) - 3_000)
        self.note_sales()

    # What must hold

    def last_effect_ms(self, key: LoanKey, kinds: Collection[Kind]) -> int:
        """What a repayment with collateral sells is moved too."""
        last = super().last_effect_ms(key, kinds)
        return max(last, self.world.last_effect_on_collateral_ms(key)) if Kind.ADJUSTMENT in kinds else last

    def check_what_is_sent(self, intent: Intent) -> None:
        self.sent_by[intent.intent_id] = self.starts
        super().check_what_is_sent(intent)
        if intent.repays_in_full:
            self.check_that_it_has_to_be_repaid(intent)
            return
        if intent.takes_from_wallet and intent.ltv_before < EMERGENCY and intent.rescue_of is None:
            self.check_what_is_due_is_kept(intent)
        if intent.direction is Direction.REPAY:
            self.check_that_it_is_needed(intent)
        if intent.collateral_coin is not None:
            self.check_its_collateral(intent)
            self.check_its_caps(intent)
            self.check_that_no_coins_help(intent)
            self.check_that_no_flexible_debt_does(intent)

    def on_their_way(self, key: LoanKey) -> list[Intent]:
        """Without one that a hand copied meanwhile, to the digit: the copy's row is taken for ours."""
        return [item for item in super().on_their_way(key) if item.intent_id not in self.copied]

    def acted_on(self, intent: Intent, view: View) -> Decimal:
        """What fixed loans owe is a debt of its own."""
        if intent.contract_id is not None:
            return view.fixed.get(intent.coin, ZERO)
        return super().acted_on(intent, view)

    def check_that_it_has_to_be_repaid(self, intent: Intent) -> None:
        """It is, or was until lately, a contract that ends unpaid: nothing repays it, or that has failed."""
        world = self.world
        since = world.true_ms - SURE_MS - max(world.replica_ms, world.old_contracts_ms)
        lists = [shown for at_ms, shown in world.contract_views if at_ms > since]
        held = [shown for at_ms, shown in world.contract_views if at_ms <= since][-1:]
        found = {item.loan_id: item for shown in (*held, *lists) for item in shown}
        item = found.get(intent.contract_id or "")
        assert item is not None, f"{intent.contract_id} was repaid long ago"
        left_ms = item.ends_at_ms - world.true_ms
        nothing = item.at_end is AtEnd.NOTHING and left_ms <= BEFORE_MS
        assert nothing or left_ms <= 0, f"{item} is repaid {left_ms} ms before its end"

    def check_what_is_due_is_kept(self, intent: Intent) -> None:
        """As far as this process has read the list, and nothing of it has changed since."""
        world, read = self.world, self.world.contract_reads.get(intent.coin)
        if read is None:
            return
        now = {item.loan_id: item.owed for item in world.contracts}
        soon = [item for item in read.found.contracts if item.ends_at_ms - world.true_ms <= DAY_MS]
        due = sum(
            (
                min(item.owed, now[item.loan_id])
                for item in soon
                if item.loan_id in now and item.at_end.takes_coins
            ),
            ZERO,
        )
        lately = _since(world.wallets, world.true_ms - world.replica_ms - SURE_MS)
        has = max(view.funding.get(intent.coin, ZERO) for view in lately)
        assert not due or intent.amount <= max(ZERO, has - due), (
            f"{intent.direction} of {intent.amount} {intent.coin} out of {has}, of which {due} are due"
        )

    def views_lately(self) -> list[View]:
        world = self.world
        return _since(world.views[POOL], world.true_ms - world.replica_ms - SURE_MS)

    def check_that_it_is_needed(self, intent: Intent) -> None:
        """No more than brings the loan to its target, at any moment that may have been shown lately."""
        views = _since(self.world.views[intent.key], self.world.true_ms - self.world.replica_ms - SURE_MS)
        sells = HAIRCUT * (1 + MAX_FEE) if intent.collateral_coin is not None else ZERO
        price = min(view.price for view in views) if intent.coin == HELD else Decimal(1)
        owed = max(view.debt_usd for view in views)  # it may be shown later than what secures it
        counted = min(view.collateral * view.price * view.counts for view in views)
        needed = (owed - TARGET * counted) / (1 - TARGET * sells)
        slack = owed * Decimal("0.0005") + Decimal("0.01")
        assert intent.amount * price <= needed * SPARE + slack, (
            f"{intent.amount} {intent.coin} repaid where {needed} USD were needed"
        )

    def check_its_collateral(self, intent: Intent) -> None:
        shown = [view.collateral for view in self.since_our_last_effect(POOL, {Kind.ADJUSTMENT})]
        before = intent.collateral_before or ZERO
        assert any(abs(before - held) <= Decimal("0.00000002") for held in shown), (
            f"paid with {before} {HELD} that were never there since our last effect: {shown[-3:]}"
        )

    def check_its_caps(self, intent: Intent) -> None:
        if not self.start.capped or intent.coin != OWED:
            return
        assert intent.amount <= CAPS["max_repay"] * self.scale
        if self.went_back:
            return  # the journal does not know what was spent
        world = self.world
        under_way = {item.intent.intent_id for item in world.pending} | set(world.applied)
        day = [
            item.amount
            for item in world.sent
            if item.collateral_coin is not None
            and item.coin == OWED
            and item.intent_id in under_way
            and world.true_ms - item.created_at_ms < DAY_MS - 60_000
        ]
        assert sum(day, intent.amount) <= CAPS["max_24h"] * self.scale, "beyond the day's cap"

    def check_that_no_coins_help(self, intent: Intent) -> None:
        """Coins that were there all the time, and that nothing kept away."""
        world = self.world
        sure = _since(world.wallets, world.true_ms - world.replica_ms - SURE_MS)
        tied = {
            coin: sum(
                item.amount
                for item in self.journal.snapshot().intents.values()
                if item.is_open and item.takes_from_wallet and item.coin == coin
            )
            for coin in (HELD, OWED)
        }
        collateral = max(view.collateral for view in self.views_lately())
        funding = min(view.funding.get(HELD, ZERO) for view in sure) - tied[HELD]
        if not self.was_kept_away({Direction.ADD}):
            assert funding < self.claimed(HELD) + collateral * LITTLE, (
                f"collateral sold beside {funding} {HELD} to be added"
            )
        if self.start.transfers and not self.was_kept_away({Direction.ADD, Direction.TRANSFER}):
            there = min(view.unified.get(HELD, ZERO) for view in sure)
            blind = world.unified_down or world.transfers_down or self.has_given_up_a_transfer(intent)
            assert blind or there < PLENTY[HELD] * self.scale, (
                f"collateral sold beside {there} {HELD} to be moved here"
            )
        kept_away = self.was_kept_away({Direction.REPAY}) or self.can_not_repay(intent)
        if self.start.repays and not kept_away:
            usdt = min(view.funding.get(OWED, ZERO) for view in sure) - tied[OWED]
            usdt = min(usdt, *(view.debt for view in self.views_lately()))  # fixed loans take no part of it
            owed = max(view.debt_usd for view in self.views_lately())
            assert usdt < self.claimed(OWED) + owed * LITTLE, (
                f"collateral sold beside {usdt} {OWED} to repay with"
            )

    def can_not_repay(self, intent: Intent) -> bool:
        """While its list can't be read, no flexible debt is repaid: an emergency goes on to contracts."""
        return self.world.repayments_down and intent.ltv_before >= EMERGENCY

    def has_given_up_a_transfer(self, intent: Intent) -> bool:
        """An emergency does not wait for one whose window is over, and that may never have come."""
        moved = (item for item in self.journal.snapshot().intents.values() if item.is_open)
        lost = any(item.direction is Direction.TRANSFER and item.coin == HELD for item in moved)
        return lost and intent.ltv_before >= EMERGENCY

    def check_that_no_flexible_debt_does(self, intent: Intent) -> None:
        """Contracts are repaid with collateral where what is owed flexibly does not do, or was refused."""
        if intent.contract_id is None or self.start.capped or self.can_not_repay(intent):
            return
        since = self.world.true_ms - RESTS_MS
        refused = [item for item in self.refused() if item.collateral_coin and not item.contract_id]
        if any(max(item.created_at_ms, item.updated_at_ms) > since for item in refused):
            return
        least = min(view.debt / view.debt_usd for view in self.views_lately())
        assert least < LITTLE, f"{intent.contract_id} repaid beside a share of {least} that is flexible"

    def claimed(self, coin: str) -> Decimal:
        """What the order may have first: where it asks for help as well, only plenty is enough for both."""
        first = _since(self.world.views[key_of(1)], self.world.true_ms - SURE_MS - self.world.replica_ms)
        asks = max(view.ltv for view in first) >= TARGET
        return PLENTY[coin] * self.scale if asks else ZERO

    def was_kept_away(self, directions: Collection[Direction]) -> bool:
        """Whether the exchange refused such help for the pool lately, at once or later."""
        world = self.world
        keys = {POOL, LoanKey(POOL.product.FUNDING, HELD)}
        return any(
            item.key in keys
            and item.direction in directions
            and item.collateral_coin is None
            and world.true_ms - max(item.created_at_ms, item.updated_at_ms) < RESTS_MS
            for item in self.refused()
        )

    def refused(self) -> list[Intent]:
        """What the exchange refused at once, or took and let fail."""
        failed = (item for item in self.journal.snapshot().intents.values() if item.state is State.REJECTED)
        return [*(item for item, _ in self.world.refused), *failed]

    def funded(self) -> Collection[LoanKey]:
        world, start = self.world, self.start
        coins = world.wallet[HELD] > PLENTY[HELD] * self.scale
        coins = coins or (start.transfers and world.unified[HELD] > PLENTY[HELD] * self.scale)
        can_repay = not (world.history_down or world.repayments_down)
        pays = start.repays and can_repay and world.wallet[OWED] > PLENTY[OWED] * self.scale
        found = [key_of(1)] if coins or pays else []
        if world.loans[POOL].gone:
            return found
        can_sell = can_repay and not start.capped and (world.ltv(POOL) >= EMERGENCY or not self.is_kept())
        can_sell = can_sell and world.ltv(POOL) < 1  # beyond, the exchange sells nothing for a debt
        if coins or (pays and self.reaches(ZERO)) or (can_sell and self.reaches(HAIRCUT * (1 + MAX_FEE))):
            found.append(POOL)
        return found

    def is_kept(self) -> bool:
        """Whether there are coins that are kept until it is an emergency."""
        return any(self.world.wallet[item.coin] > 0 for item in self.world.contracts)

    def reaches(self, sells: Decimal) -> bool:
        """Whether the flexible debt is enough to bring the pool to its target by repaying it."""
        view = self.world.views[POOL][-1]
        counted = view.collateral * view.price * view.counts
        return (view.debt_usd - TARGET * counted) / (1 - TARGET * sells) < view.debt * Decimal("0.95")

    def is_the_users_twin(self, intent: Intent, row: Row) -> bool:
        """Also a repayment by hand of just our amount. Where ours landed too, it does not matter which."""
        is_alike = row.intent_id is None and row.shown.amount == intent.amount
        return (is_alike and intent.direction is Direction.REPAY) or super().is_the_users_twin(intent, row)

    def check_quiet(self) -> None:
        super().check_quiet()
        for item in self.journal.snapshot().intents.values():
            if item.state is State.AMBIGUOUS:
                assert ("adjustment_ambiguous", item.intent_id) in self.told, "ambiguous, and not told"

    def teardown(self) -> None:
        super().teardown()
        if not self.failed and hasattr(self, "world") and not self.world.loans[POOL].gone:
            self.check_what_is_told_of_contracts()

    def check_what_is_told_of_a_fee(self, line: MutableMapping[str, Any]) -> None:
        """No more than was charged, where prices tell: where they have not moved meanwhile.

        What a hand has sold for another of the debts, or taken out, may be shown late: a WARNING waits for
        that, unless the process is gone that knew what was owed.
        """
        world = self.world
        planned = next(item for item in world.sent if item.intent_id == line["intent_id"])
        seen_ms = planned.created_at_ms - world.skew_ms - world.replica_ms - SURE_MS
        prices = {view.price for view in _since(world.views[POOL], seen_ms)}
        others = [row.shown.at_ms for row in world.rows if row.intent_id is None and moves_collateral(row)]
        is_alone = max(others, default=0) < seen_ms
        waited = line["log_level"] == "warning" and self.sent_by[planned.intent_id] == self.starts
        if (is_alone or waited) and len(prices) == 1 and line["fee"] > world.fee + Decimal("0.0002"):
            self.findings.append(
                AssertionError(f"a fee of {line['fee']} is told where {world.fee} was taken")
            )

    def check_what_is_told_of_contracts(self) -> None:
        world = self.world
        for item in world.contracts:
            read = world.contract_reads.get(item.coin)
            known = {found.loan_id for found in read.found.contracts} if read is not None else set()
            if world.true_ms - item.signed_ms >= TOLD_WITHIN_MS:
                assert item.loan_id in known, f"{item.loan_id} was never read"
            if item.overdue and world.true_ms - item.ends_ms >= TOLD_WITHIN_MS + world.pays_after_ms:
                assert ("loan_overdue", item.loan_id) in self.told, f"{item.loan_id} is overdue, and not told"


def _since(views: Sequence[Seen], since_ms: int) -> list[Seen]:
    """Those since then, and the one that held at that moment."""
    first = len(views)
    while first and views[first - 1].at_ms > since_ms:
        first -= 1
    return list(views[max(0, first - 1) :])
