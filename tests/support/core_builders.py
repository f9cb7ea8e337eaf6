"""Small builders: a loan, an intent, a history row, the facts of an account, each with plain defaults.

The default loan holds 1 BTC against USDT, its LTV is 0.60, its margin call 0.87 and its liquidation 0.95.
Amounts and LTVs are given as strings.
"""

from collections.abc import Collection, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from ltv_guard.core.amounts.fingerprint import with_fingerprint
from ltv_guard.core.decide.decide import decide
from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.decide.facts import AccountFacts, LoanFacts
from ltv_guard.core.model.history import History, HistoryRow, RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Collateral, Debt, Direction, Loan, LoanKey, Moment, Owner, Product
from ltv_guard.core.model.policy import (
    AddRule,
    Limits,
    LoanPolicy,
    ReduceRule,
    RepayRule,
    TransferRules,
    WalletRules,
)
from ltv_guard.core.reconcile.freshness import Freshness, doubted_coins, doubted_ltv

Number = str | int | Decimal
D = Decimal
ADD, REDUCE = Direction.ADD, Direction.REDUCE
REPAY, TRANSFER = Direction.REPAY, Direction.TRANSFER
START = 1_700_000_000_000  # exchange time, ms, at which the loan was read that the intent was planned from
SENT = START + 500
WINDOW, MARGIN, LAG = 5_000, 2_000, 5_000
WINDOW_OVER = SENT + WINDOW + MARGIN


def key(loan_id: str = "1001") -> LoanKey:
    return LoanKey(Product.LEGACY, loan_id)


def loan(
    ltv: Number = "0.60",
    *,
    held: Number = "1",
    coin: str = "BTC",
    accuracy: int = 8,
    loan_id: str = "1001",
    debt: Number = "30000",
    margin_call: Number = "0.87",
    liquidation: Number = "0.95",
) -> Loan:
    return Loan(
        key=key(loan_id),
        ltv=D(ltv),
        collateral=(Collateral(coin=coin, amount=D(held), accuracy=accuracy),),
        debts=(Debt(coin="USDT", amount=D(debt)),),
        margin_call_ltv=D(margin_call),
        liquidation_ltv=D(liquidation),
    )


def policy(
    *,
    trigger: Number = "0.75",
    target: Number = "0.65",
    emergency: Number = "0.80",
    release_below: Number = "0.40",
    release_to: Number = "0.55",
    reduces: bool = True,
    max_add: Mapping[str, str] | None = None,
    least: Number = "0.002",
    reduction_share: Number = "1",
    protect: bool = True,
    repays: bool = False,
    max_repay: Mapping[str, Number] | None = None,
) -> LoanPolicy:
    return LoanPolicy(
        repay=RepayRule(enabled=repays, max_repay=amounts(max_repay or {})),
        protect=protect,
        add=AddRule(trigger_ltv=D(trigger), target_ltv=D(target)),
        reduce=ReduceRule(enabled=reduces, trigger_ltv=D(release_below), target_ltv=D(release_to)),
        limits=Limits(
            min_adjustment_ratio=D(least),
            max_reduction_ratio=D(reduction_share),
            max_add=amounts(max_add or {}),
            emergency_ltv=D(emergency),
        ),
    )


def amounts(of: Mapping[str, Number]) -> dict[str, Decimal]:
    return {coin: D(amount) for coin, amount in of.items()}


def facts(about: Loan | None = None, rules: LoanPolicy | None = None, **changes: Any) -> LoanFacts:  # noqa: ANN401 - fields of LoanFacts
    """A loan that has been watched for a day: nothing but its LTV decides."""
    return LoanFacts(
        **{"loan": about or loan(), "policy": rules or policy(), "low_for_ms": 86_400_000} | changes
    )


def account(
    *loans: LoanFacts,
    wallet: Mapping[str, Number] | None = None,
    reserve: Mapping[str, Number] | None = None,
    max_add_24h: Mapping[str, Number] | None = None,
    added_24h: Mapping[str, Number] | None = None,
    wallet_read: bool = True,
    prices: Mapping[str, Number] | None = None,
    unified: Mapping[str, Number] | None = None,
    transfers: bool = False,
    max_transfer: Mapping[str, Number] | None = None,
    max_transfer_24h: Mapping[str, Number] | None = None,
    transferred_24h: Mapping[str, Number] | None = None,
    on_the_way: Mapping[str, Intent] | None = None,
    overdue: Collection[str] = (),
    unmovable: Mapping[str, str] | None = None,
    moment: Collection[str] = (),
    max_repay_24h: Mapping[str, Number] | None = None,
    repaid_24h: Mapping[str, Number] | None = None,
    due: Mapping[str, Number] | None = None,
) -> AccountFacts:
    """An account whose wallet holds 100 BTC unless told otherwise, and whose Unified account is not used."""
    return AccountFacts(
        loans=loans,
        wallet=amounts({"BTC": 100} if wallet is None else wallet) if wallet_read else None,
        unified=None if unified is None else amounts(unified),
        prices=None if prices is None else amounts(prices),
        due=amounts(due or {}),
        wallet_rules=WalletRules(
            reserve=amounts(reserve or {}),
            max_add_24h=amounts(max_add_24h or {}),
            max_repay_24h=amounts(max_repay_24h or {}),
        ),
        transfer_rules=TransferRules(
            enabled=transfers,
            max_transfer=amounts(max_transfer or {}),
            max_transfer_24h=amounts(max_transfer_24h or {}),
        ),
        on_the_way=on_the_way or {},
        overdue=overdue,
        unmovable=unmovable or {},
        passing=moment,
        added_24h=amounts(added_24h or {}),
        repaid_24h=amounts(repaid_24h or {}),
        transferred_24h=amounts(transferred_24h or {}),
    )


def decide_one(about: LoanFacts, **of_account: Any) -> Decision:  # noqa: ANN401 - arguments of account()
    (decision,) = decide(account(about, **of_account))
    return decision


def quoted(ltv: Decimal) -> Decimal:
    """As the exchange shows an order's."""
    return ltv.quantize(D("0.0001"), ROUND_HALF_EVEN)


def marked_amount(decision: Decision, seed: int) -> Decimal:
    """The amount as the guard sends it; 0 where no mark is free."""
    held = decision.loan.collateral_in(decision.coin or "")
    assert held is not None
    amount = with_fingerprint(
        decision.amount,
        accuracy=held.accuracy,
        reference=max(held.amount, decision.amount),
        ceiling=decision.ceiling,
        taken=(),
        seed=seed,
        upward=decision.direction is ADD,
    )
    return amount or D(0)


def intent(
    state: State = State.UNKNOWN,
    *,
    direction: Direction = ADD,
    amount: Number = "0.10000137",
    before: Number = "1",
    ltv_before: Number = "0.75",
    coin: str = "BTC",
    loan_id: str = "1001",
    **changes: Any,  # noqa: ANN401 - fields of Intent
) -> Intent:
    """An adjustment that left at SENT, planned from a loan that was read at START."""
    values: dict[str, Any] = {
        "intent_id": "i1",
        "owner": Owner("testnet", "1"),
        "account": "main",
        "reason": "a test",
        "observed_at_ms": START,
        "seen_ids": frozenset(),
        "created_at_ms": START + 100,
        "updated_at_ms": SENT + 200,
        "signed_at_ms": SENT,
        "recv_window_ms": WINDOW,
    }
    return Intent(
        key=key(loan_id),
        direction=direction,
        coin=coin,
        amount=D(amount),
        state=state,
        coins_before=D(before),
        ltv_before=D(ltv_before),
        **values | changes,
    )


def row(
    adjust_id: str = "r1",
    amount: Number = "0.10000137",
    *,
    direction: Direction = ADD,
    at: int = SENT + 300,
    coin: str = "BTC",
    loan_id: str = "1001",
    status: RowStatus = RowStatus.SUCCESS,
) -> HistoryRow:
    return HistoryRow(
        adjust_id=adjust_id,
        key=key(loan_id),
        coin=coin,
        direction=direction,
        amount=D(amount),
        at_ms=at,
        ltv_before=D("0.75"),
        ltv_after=D("0.68"),
        status=status,
    )


def judge(
    shown: Loan,
    last: Intent,
    rows: Sequence[HistoryRow],
    prices: Mapping[str, Decimal] | None,
    *,
    steady: bool = True,
    beside: Intent | None = None,
) -> Freshness:
    """Coins first, then the LTV, as the guard does for each adjustment that landed lately."""
    doubt = doubted_coins(shown, last, rows, steady=steady)
    return doubted_ltv(shown, last, rows, prices, beside=beside) if doubt is None else doubt


def moment(exchange_ms: int, monotonic_ms: int | None = None) -> Moment:
    """Both clocks in step (the monotonic one counts from START), unless told otherwise."""
    return Moment(
        exchange_ms=exchange_ms, monotonic_ms=exchange_ms - START if monotonic_ms is None else monotonic_ms
    )


def history(*rows: HistoryRow, began: Moment) -> History:
    return History(rows=rows, began=began)
