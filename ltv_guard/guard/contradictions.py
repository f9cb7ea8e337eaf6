"""What contradicts itself, or parts from what it was a moment ago: said once, in plain words. Logs only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import structlog

from ltv_guard.core.amounts.composition import composition_of
from ltv_guard.core.amounts.ltv_model import shown
from ltv_guard.core.decide.decision import Cause, Decision
from ltv_guard.core.decide.quotes import LastPrice, Quotes
from ltv_guard.core.model.loans import Loan, LoanKey
from ltv_guard.core.reconcile.plausibility import NEAR, Bearing, parted
from ltv_guard.guard.loan_fields import named
from ltv_guard.log.alert_repeater import AlertRepeater

CONTRADICTED = (
    "its LTV, its amounts and prices contradict each other: what is done for it stays within wallet.reserve, "
    "wallet.max_add_24h and the cooldown, in small steps, and nothing of it is released"
)
UNTOLD = "it shows no LTV that can be, and without prices nothing else tells it"
AGREED_AFTER = 5  # decisions in a row: replicas that differ by turns would have it told each time
PASSED = "the first read showed another LTV than a second one right after it: the second counts"

log = structlog.stdlib.get_logger()


class Contradictions:
    """Says what was odd, and when it is over. Holds what was said before, and how often it agreed since."""

    def __init__(self, alerts: AlertRepeater) -> None:
        self._alerts = alerts
        self._agreed: dict[LoanKey, int] = {}

    def read_again(self, before: Mapping[LoanKey, Loan], now: Sequence[Loan]) -> None:
        """What a second read made of the first."""
        for loan in now:
            first = before.get(loan.key)
            if first is not None and parted(first.ltv, loan.ltv) > NEAR:
                log.warning("odd_read", why=PASSED, ltv=loan.ltv, odd_ltv=first.ltv, **named(loan.key))

    def contradiction(self, decision: Decision, prices: Mapping[str, Decimal] | None) -> None:
        """A loan whose numbers contradict each other still after a second read. `prices`: USD a coin."""
        loan = decision.loan
        topic, untold = ("contradicted", loan.key), ("untold", loan.key)
        if _is_untold(decision):
            self._alerts.grave(untold, "untold", "loan_set_aside", why=UNTOLD, **named(loan.key))
        elif self._alerts.ended(untold):
            log.warning("loan_readable_again", **named(loan.key))
        if decision.bearing is Bearing.CONTRADICTED:
            self._agreed.pop(loan.key, None)
            self._alerts.grave(
                topic,
                "contradicted",
                "loan_contradicts_itself",
                why=CONTRADICTED,
                ltv=loan.ltv,
                own_ltvs=[format(shown(ltv), "f") for ltv in composition_of(loan).own_ltvs(prices)],
                **named(loan.key),
            )
        elif decision.bearing is not Bearing.UNKNOWN and self._alerts.tells_of(topic):
            self._agreed[loan.key] = self._agreed.get(loan.key, 0) + 1
            if self._agreed[loan.key] >= AGREED_AFTER:
                del self._agreed[loan.key]
                self._alerts.ended(topic)
                log.warning("loan_agrees_again", ltv=loan.ltv, **named(loan.key))

    def is_as_told(self, decision: Decision) -> bool:
        """Whether nothing contradicts itself, nor did."""
        key = decision.loan.key
        if decision.bearing is Bearing.CONTRADICTED or _is_untold(decision):
            return False
        return not any(self._alerts.tells_of((what, key)) for what in ("contradicted", "untold"))

    def prices(self, quotes: Quotes, known: Mapping[str, LastPrice]) -> None:
        """Prices that have parted from the last ones, and that a second read showed as well."""
        for coin, price in quotes.prices.items():
            topic = ("price", coin)
            if coin in quotes.doubted and coin not in quotes.parted:
                last = known.get(coin)
                why = (
                    "it differs from the last one by more than a tenth: until it is believed, amounts that "
                    "depend on it are added in small steps"
                )
                self._alerts.once(
                    topic,
                    "warning",
                    "price_doubted",
                    coin=coin,
                    price=price,
                    last_price=None if last is None else last.price,
                    why=why,
                )
            elif coin not in quotes.doubted and self._alerts.ended(topic):
                log.info("price_believed_again", coin=coin, price=price)


def _is_untold(decision: Decision) -> bool:
    """Whether an order shows an LTV of 0, and there are no prices to say better."""
    is_open = decision.cause is Cause.NOT_BORNE_OUT and decision.bearing is Bearing.UNKNOWN
    return is_open and decision.loan.ltv == 0
