"""What each kind of help would do, as sentences for people: made here, and never read back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_UP, Decimal

from ltv_guard.core.decide.outlook import Prospect, Way

CENTS = Decimal("0.01")
WAYS = {
    Way.ADD: "adding {amount} {coin} brings it to {ltv}",
    Way.TRANSFER: "moving {amount} {coin} from the Unified account, and adding it, brings it to {ltv}",
    Way.REPAY: "repaying {amount} {coin} brings it to {ltv}",
    Way.REPAY_WITH_COLLATERAL: "repaying {amount} {coin} {contract}with {collateral} of its collateral "
    "brings it to {ltv}, at a fee of up to {cost} USD",
}
NOTHING = {
    Way.ADD: "there is no {coin} to add",
    Way.TRANSFER: "there is no {coin} to move from the Unified account",
    Way.REPAY: "there is no {coin} to repay with",
}
HELD_BACK = "{in_wallet} {coin} are in the Funding wallet, but can't be added now"
UNKNOWN = "repaying {needed} {coin} brings it to {target}"
TOO_LITTLE = "what is owed in {coin} is too little to bring it to {target} by repaying it"
FOR_THE_TARGET = "{needed} would bring it to {target}"
SWITCHES = {
    Way.REPAY: "policy.repay is off",
    Way.REPAY_WITH_COLLATERAL: "policy.repay_with_collateral is off",
}
BY_HAND = {
    Way.ADD: "bring {to_bring} {coin} to the Funding wallet, to be added",
    Way.REPAY: "repay {needed} {coin} in the exchange's app",
    Way.REPAY_WITH_COLLATERAL: "repay {needed} {coin} {contract}there with {collateral} of its collateral, "
    "for up to {cost_of_needed} USD",
}

ADD_BY_HAND = "add {missing} {coin} in the exchange's app"  # where something else than the wallet is short


def in_words(item: Prospect) -> str:
    """`repaying 500 USDT brings it to 0.7615; 7020 would bring it to 0.65 (policy.repay is off)`."""
    said = _with_numbers(_template(item), item)
    short = item.amount is not None and item.needed.is_finite() and item.amount < item.needed
    if short:
        said = f"{said}; {_with_numbers(FOR_THE_TARGET, item)}"
    return said if item.allowed else f"{said} ({SWITCHES[item.way]})"


def by_hand(found: Sequence[Prospect]) -> list[str]:
    """What a person could do, each enough by itself to bring the loan to its target."""
    return [
        _with_numbers(_template_by_hand(item), item)
        for item in found
        if item.way in BY_HAND and item.needed.is_finite() and (item.way is not Way.ADD or item.missing > 0)
    ]


def _template(item: Prospect) -> str:
    if item.amount is None:
        return UNKNOWN if item.needed.is_finite() else TOO_LITTLE
    if item.amount > 0:
        return WAYS[item.way]
    return HELD_BACK if item.in_wallet > 0 else NOTHING[item.way]


def _template_by_hand(item: Prospect) -> str:
    return ADD_BY_HAND if item.way is Way.ADD and item.to_bring <= 0 else BY_HAND[item.way]


def _with_numbers(template: str, item: Prospect) -> str:
    numbers = {
        "amount": item.amount,
        "needed": item.needed,
        "missing": item.missing,
        "to_bring": item.to_bring,
        "in_wallet": item.in_wallet,
        "cost": _to_the_cent(item.cost_usd),
        "cost_of_needed": _to_the_cent(item.cost_of_needed_usd),
        "ltv": item.ltv_after,
        "target": item.target,
    }
    shown = {name: _plain(number) for name, number in numbers.items()}
    contract = "" if item.contract_id is None else f"of the fixed loan {item.contract_id} "
    return template.format(coin=item.coin, collateral=item.collateral, contract=contract, **shown)


def _to_the_cent(usd: Decimal) -> Decimal:
    return usd.quantize(CENTS, ROUND_UP) if usd.is_finite() else usd


def _plain(number: Decimal | None) -> str:
    """Without an exponent, and without idle zeros."""
    if number is None:
        return ""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
