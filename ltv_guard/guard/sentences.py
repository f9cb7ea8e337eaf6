"""What is decided, as sentences for people: made here, out of values, and never read back. Pure."""

from __future__ import annotations

from decimal import Decimal

from ltv_guard.core.decide.constraints import Constraint, Limit
from ltv_guard.core.decide.decision import Decision
from ltv_guard.core.decide.reason import Because, Reason
from ltv_guard.core.model.contracts import AtEnd
from ltv_guard.core.model.defects import Defect, attempt
from ltv_guard.core.model.policy import FixedRepayRule
from ltv_guard.core.model.withheld import Why, Withheld
from ltv_guard.core.reconcile.awaited import Awaited, Waiting
from ltv_guard.core.reconcile.freshness import Doubt
from ltv_guard.log.utc import iso

LIMITS = {
    Limit.FUNDING: "the Funding wallet leaves {amount} {coin}",
    Limit.FUNDING_UNREAD: "the Funding wallet, whose {coin} could not be read, leaves {amount} {coin}",
    Limit.SETTING: "{key} of {setting} leaves {amount} {coin}",
    Limit.DUE: "what a fixed loan will soon take from it leaves {amount} {coin}",
    Limit.UNIFIED: "the Unified account leaves {amount} {coin}",
    Limit.UNMOVABLE: "the exchange moves no {coin} for now: {words}",
    Limit.SHARE: "its share of scarce funds leaves {amount} {coin}",
    Limit.COUNTED: "what counts as collateral leaves {amount} {coin}",
    Limit.DOUBTED_PRICE: "the price of {coin}, which is in doubt, leaves {amount} {coin}",
    Limit.MAX_REDUCTION: "the exchange's maximum reduction leaves {amount} {coin}",
    Limit.FLEXIBLE_DEBT: "what is owed in flexible loans leaves {amount} {coin}",
    Limit.CONTRACT: "what the fixed loan {words} owes leaves {amount} {coin}",
    Limit.SALE_LIMIT: "what the exchange takes in one repayment with collateral leaves {amount} {coin}",
    Limit.COLLATERAL: "all of the {words} in the pool pays {amount} {coin}",
    Limit.PRICE_STEP: "the price of {coin} is in doubt, so at most {amount} {coin} at a time",
    Limit.MAX_ADD: "max_add allows {amount} {coin} at a time",
    Limit.LEAST_TAKEN: "the exchange takes no less than {amount} {coin}",
    Limit.UNMEASURED: "{coin} has no price or no terms as collateral",
    Limit.UNPRICED: "{coin} has no price",
    Limit.CLOSED: "the exchange shows that the platform takes no more of it (colRes 2)",
    Limit.REFUSED: "{words}",
    Limit.DEFECT: "{words}",
    Limit.NOTHING_TO_ADD: "nothing to add",
    Limit.UNIFIED_UNREAD: "the Unified account could not be read",
    Limit.UNIFIED_COIN_UNREAD: "the Unified account's {coin} could not be read",
    Limit.DEBT_UNREAD: "what is owed in {coin} could not be read",
    Limit.ADD_AWAITED: "the history does not show the last add yet",
    Limit.MAY_BE_LEFT: "an open intent may leave {coin} to be added",
    Limit.MAY_BE_THERE: "the Funding wallet's {coin} could not be read, and may be there to be added",
    Limit.COINS_MAY_HELP: "{coin} may still help: it is on its way, or kept for an emergency",
    Limit.NO_GAIN: "selling {coin} would not lower its LTV",
    Limit.FEED_LOST: "all that may be given leaves it at {amount} (limits.feed_lost is false)",
    Limit.NOT_LOW_FOR_LONG: "not for long enough",
    Limit.RESTING: "the last episode or release ended too recently",
    Limit.INTENT_OPEN: "an adjustment of the account is open",
    Limit.ROW_AWAITED: "an add of the account is in no history yet",
    Limit.RESCUE_ELSEWHERE: "a loan of the account is being rescued",
    Limit.ADDED_BY_HAND: "collateral was added by hand",
    Limit.CHANGED_BY_OTHERS: "somebody else changed the loan a moment ago, and it may not be shown yet",
    Limit.JUST_REPAID: "debt was repaid a moment ago, and no prices tell whether the LTV is of before",
    Limit.NEEDED_ELSEWHERE: "another loan secured by {coin} is above its add target",
    Limit.LOANS_UNREAD: "there are loans that could not be read, and one may need the coins",
    Limit.PRICES_UNREAD: "prices could not be read",
    Limit.NOT_BORNE_OUT: "its own amounts and prices do not bear that out",
    Limit.WALLET_UNREAD: "the Funding wallet could not be read",
    Limit.EMERGENCY_FIRST: "a loan in an emergency may need the {coin}",
    Limit.POOL_LOST: "its pool can't be saved",
}

AT_END = {
    AtEnd.NOTHING: "overdue unless you repay it",
    AtEnd.REPAID: "repaid from the Funding wallet",
    AtEnd.FLEXIBLE: "turned flexible",
    AtEnd.UNTOLD: "treated as the exchange's app says: the row does not",
}

DOUBTS = {
    Doubt.LTV_LAGS: "its LTV has not followed its collateral yet",
    Doubt.OLD_COLLATERAL: "it shows the collateral from before the last change",
    Doubt.OLD_DEBT: "it shows the debt from before the last change",
    Doubt.UNTOLD_COLLATERAL: "its collateral changed, and no row of the history tells how",
    Doubt.UNTOLD_DEBT: "its debt changed, and no row of the history tells how",
    Doubt.DEFECT: "an error of ours kept the facts of the loan from being worked out",
}

AWAITED = {
    Awaited.WINDOW: "its receive window is not over",
    Awaited.WHOLE_HISTORY: "the history lacks rows that it had shown before",
    Awaited.DOUBTFUL_ROW: "a row of the history that is not understood may be it: {why}",
    Awaited.ROW: "accepted, and not in the history yet",
    Awaited.PROCESSING: "the exchange is still processing it",
    Awaited.LATE_ROW: "coins moved by its amount, its row is late",
    Awaited.SECOND_LOOK: "not in the history; looking once more",
    Awaited.SECOND_ROW: "a row of its amount may be of a release by hand: its own may still come",
    Awaited.LOANS: "the loans could not be read",
    Awaited.ROW_OF_COINS: "its row in the history: releases and repayments wait for it, adds do not",
    Awaited.PERSON: "a person: it is older than the six months of history that the exchange shows",
}

REASONS = {
    Because.NOT_PROTECTED: "{rule} says protect: false",
    Because.NONSENSE: "its numbers make no sense: {words}",
    Because.NOT_FRESH: "waiting: {doubt}",
    Because.NOT_BORNE_OUT: "it shows an LTV of {ltv}, and its own amounts do not bear that out",
    Because.OPEN_INTENT: "waiting for intent {intent} to settle",
    Because.RESCUED: "intent {intent} is {state}, and the loan has had its one rescue",
    Because.RESCUE: "LTV {ltv} while intent {intent} is {state}: one rescue add",
    Because.AT_TARGET: "LTV {ltv} is at its target {target}",
    Because.RESTING: "the last episode or release ended too recently",
    Because.UNREAD: "{need}, and the wallet or prices could not be read",
    Because.NEED: "{need}",
    Because.NO_COIN: "{need}, but no coin can be added",
    Because.ADD: "{need}: {needed} {coin} bring it to {target}{but}",
    Because.ADD_NEVER_ENOUGH: "{need}: no amount of {coin} by itself brings it to {target}{but}",
    Because.COINS_COMING: "{need}, waiting for {awaited} {coin} from the Unified account ({state})",
    Because.COINS_SPOKEN_FOR: "{need}, and the coins to be moved are spoken for",
    Because.TRANSFER: "{need}: moving {amount} {coin} from the Unified account, to be added next",
    Because.REPAY: "{need}, and no collateral to add",
    Because.REPAY_ENOUGH: "{need}, and no collateral to add: repaying {needed} {coin} brings it to {target}",
    Because.REPAY_WITH_COLLATERAL: "{need}, and no coins help: repaying {needed} {coin} {of_contract}with "
    "{collateral_coin} of its collateral brings it to {target}, for a fee of {cost} USD at most",
    Because.REPAY_FIXED: "fixed loan {contract}, whose end is {ends}, goes overdue unless it is repaid: all "
    "{needed} {coin} of it are repaid now",
    Because.LOST: "{need}, and it can't be saved",
    Because.LOST_WANTS: "{need}, and it can't be saved: {limits}; {least} {coin} would bring it below its "
    "liquidation LTV, {needed} {coin} to {target}; there are {has}",
    Because.IN_BOUNDS: "LTV {ltv} is within bounds",
    Because.LOW: "LTV {ltv} is low{but}",
    Because.TOO_LITTLE: "LTV {ltv}: too little to release",
    Because.RELEASE: "LTV {ltv} is below {release_trigger}: releasing {amount} {coin} brings it to "
    "{release_target}{but}",
}


def reason(decision: Decision) -> str:
    """Why it is decided so."""
    why = decision.reason
    limits = "; ".join(map(constraint, why.but))
    sentence = REASONS[why.kind].format(
        need=_need(why),
        but=f", but {limits}" if limits else "",
        limits=limits,
        rule=decision.policy.name,
        doubt="" if why.doubt is None else DOUBTS[why.doubt],
        words=why.words,
        coin=why.coin,
        collateral_coin=why.collateral_coin,
        **_of_contract(why),
        of_contract="" if why.contract_id is None else f"of the fixed loan {why.contract_id} ",
        **_of_intent(why),
        **_numbers(why),
    )
    return f"{sentence}: once more before debt is repaid" if why.once_more else sentence


def reason_or_cause(decision: Decision) -> str:
    """The same for what is written down before it is sent: an error of ours in the words costs it nothing."""
    found = attempt("the words for an intent", lambda: reason(decision))
    return decision.cause.value if isinstance(found, Defect) else found


def held_back(decision: Decision) -> list[str]:
    """What holds it back, the most telling first."""
    return [constraint(item) for item in decision.held_back]


def beside_reason(decision: Decision) -> list[str]:
    """What holds it back and its reason does not name."""
    return [constraint(item) for item in decision.held_back if item not in decision.reason.but]


def constraint(item: Constraint) -> str:
    """One limit, in words."""
    said = LIMITS[item.kind].format(
        coin=item.coin,
        amount=_plain(item.amount),
        key=item.key,
        setting=_plain(item.setting),
        words=item.words,
    )
    return f"repaying: {said}" if item.repaying else said


def at_end(what: AtEnd, rule: FixedRepayRule) -> str:
    """What becomes of a pool's fixed loan at its end, where it is by that rule that the guard repays some."""
    if rule.enabled and what is AtEnd.NOTHING:
        return f"overdue unless this guard repays it in its last {rule.before_ms // 1000} s"
    return AT_END[what]


def withheld(item: Withheld) -> str:
    """Why nothing is sent, as a sentence."""
    match item.kind:
        case Why.DRY_RUN:
            return "dry_run"
        case Why.PAUSED:
            return f"paused: {item.detail}"
        case Why.NEEDS_HUMAN:
            return f"needs a human: {item.detail}"
        case Why.WAITING:
            return "the journal is new or restored: waiting for what an earlier one may have sent"


def waiting(item: Waiting) -> str:
    """What the end of an intent waits for."""
    return AWAITED[item.kind].format(why="" if item.row is None else item.row.why)


def _need(why: Reason) -> str:
    urgency = "emergency: " if why.emergency else ""
    return f"{urgency}LTV {why.ltv:f} against a trigger of {why.limits.trigger:f}"


def _of_intent(why: Reason) -> dict[str, str]:
    if why.intent is None:
        return {}
    return {"intent": why.intent.intent_id, "state": why.intent.state, "awaited": _plain(why.intent.amount)}


def _of_contract(why: Reason) -> dict[str, str]:
    if why.contract is None:
        return {}
    return {"contract": why.contract.loan_id, "ends": iso(why.contract.ends_at_ms)}


def _numbers(why: Reason) -> dict[str, str]:
    limits = why.limits
    numbers = {
        "ltv": why.ltv,
        "target": limits.target,
        "release_trigger": limits.release_trigger,
        "release_target": limits.release_target,
        "amount": why.amount,
        "needed": why.needed,
        "least": why.least,
        "has": why.has,
        "cost": why.cost,
    }
    return {name: _plain(number) for name, number in numbers.items()}


def _plain(number: Decimal | None) -> str:
    """Without an exponent."""
    return "" if number is None else format(number, "f")
