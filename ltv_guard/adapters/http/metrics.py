"""`/metrics`, for Prometheus. A loan that is gone is gone from it; sets of labels are bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import islice

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from ltv_guard.adapters.http import metrics_fleet, metrics_text
from ltv_guard.core.model.contracts import Contract
from ltv_guard.core.model.status import AccountStatus, Counts, LoanStatus, Span, Status

MOST_LOANS = 500  # of an account, those nearest to liquidation
MOST_COINS = 100
MOST_CONTRACTS = 100  # of an account, those that end first
PREFIX = "ltv_guard_"
TYPE = CONTENT_TYPE_LATEST
MS = 1000

Row = tuple[tuple[str, ...], float | Decimal]


def as_text(status: Status) -> bytes:
    """The page in Prometheus's text format."""
    return metrics_text.as_text(families(status))


def families(status: Status) -> Iterator[Metric]:
    """All of it, metric by metric."""
    about = {"version": status.version, "mode": status.mode, "environment": status.environment}
    yield InfoMetricFamily(f"{PREFIX}build", "What runs.", about)
    for name, says, figure in OF_THE_DAEMON:
        yield GaugeMetricFamily(PREFIX + name, says, value=figure(status))
    if status.fleet is not None:
        yield from metrics_fleet.families(status.fleet)
    alerts = Counter(alert.event for alert in status.alerts)
    yield _family(GaugeMetricFamily, ("alerts", "Critical events that last.", "event"), _by(alerts))
    notices = ("notices_waiting", "Notifications that wait for a target.", "target")
    yield _family(GaugeMetricFamily, notices, _by(status.notices_waiting))
    if status.uses_stream:
        says = "Whether prices come as they change."
        yield GaugeMetricFamily(f"{PREFIX}price_stream_up", says, value=status.prices is not None)
    prices = ("price_usd", "Of the price stream, per coin.", "coin")
    yield _family(GaugeMetricFamily, prices, _coins(status.prices))
    for name, says, labels, rows in OF_AN_ACCOUNT:
        yield _family(GaugeMetricFamily, (name, says, labels), _each(status.accounts, rows))
    for name, says, labels, rows in COUNTED:
        yield _family(CounterMetricFamily, (name, says, labels), _each(status.accounts, rows))
    for name, says, span in TIMED:
        timed = HistogramMetricFamily(PREFIX + name, says, labels=["account"])
        for account in status.accounts:
            timed.add_metric([account.name], *_buckets(span(account.counts)))
        yield timed
    for name, says, of_loan in OF_A_LOAN:
        labels = "account product loan_id"
        yield _family(GaugeMetricFamily, (f"loan_{name}", says, labels), _of_loans(status.accounts, of_loan))


def _family(
    kind: type[GaugeMetricFamily | CounterMetricFamily], words: tuple[str, str, str], rows: Iterable[Row]
) -> Metric:
    name, says, labels = words
    family = kind(PREFIX + name, says, labels=labels.split())
    for values, figure in rows:
        family.add_metric(list(values), float(figure))
    return family


def _by(counts: Mapping[str, int]) -> Iterator[Row]:
    return (((name,), count) for name, count in sorted(counts.items()))


def _each(accounts: Iterable[AccountStatus], rows: Callable[[AccountStatus], Iterable[Row]]) -> Iterator[Row]:
    return (((account.name, *values), figure) for account in accounts for values, figure in rows(account))


def _of_loans(accounts: Iterable[AccountStatus], figure: Callable[[LoanStatus], Decimal]) -> Iterator[Row]:
    for account in accounts:
        for item in account.loans[:MOST_LOANS]:
            key = item.loan.key
            yield (account.name, key.product.value, key.loan_id), figure(item)


def _open(account: AccountStatus) -> Iterator[Row]:
    return _by(Counter(item.state.value for item in account.adjustments if item.is_open))


def _oldest(account: AccountStatus) -> Iterator[Row]:
    since = [item.created_at_ms for item in account.adjustments if item.is_open]
    yield (), max(0, account.exchange_ms - min(since)) / MS if since else 0


def _withheld(account: AccountStatus) -> Iterator[Row]:
    if account.withheld is not None:
        yield (account.withheld.kind.value,), 1


def _contracts(account: AccountStatus, figure: Callable[[Contract], float | Decimal]) -> Iterator[Row]:
    for item in account.contracts[:MOST_CONTRACTS]:
        yield (item.coin, item.loan_id), figure(item)


def _coins(amounts: Mapping[str, Decimal] | None) -> Iterator[Row]:
    return (((coin,), amount) for coin, amount in islice((amounts or {}).items(), MOST_COINS))


def _buckets(span: Span) -> tuple[list[tuple[str, float]], float]:
    return [*((str(bound), count) for bound, count in span.at_most), ("+Inf", span.count)], span.total_s


OF_THE_DAEMON: tuple[tuple[str, str, Callable[[Status], float]], ...] = (
    ("ready", "Whether it is ready: see /readyz.", lambda status: status.health.is_well),
    (
        "journal_usable",
        "Whether the journal can be used.",
        lambda status: "journal" not in status.health.troubles,
    ),
    (
        "clock_offset_seconds",
        "The exchange's clock less this machine's.",
        lambda status: status.clock_offset_ms / MS,
    ),
    ("banned_seconds", "Until the exchange may be asked again.", lambda status: status.banned_s),
    ("held_seconds", "Until this machine's address may ask again.", lambda status: status.held_s),
    (
        "address_requests_left",
        "Requests that this machine's address may send now.",
        lambda status: status.requests_left,
    ),
)

Rows = Callable[[AccountStatus], Iterable[Row]]
OF_AN_ACCOUNT: tuple[tuple[str, str, str, Rows], ...] = (
    ("loans", "How many loans are guarded.", "account", lambda item: [((), len(item.loans))]),
    (
        "unsighted_seconds",
        "Since the loans were last read.",
        "account",
        lambda item: [((), item.unsighted_s)],
    ),
    ("withheld", "1 while nothing is sent, and why.", "account why", _withheld),
    ("wallet_coins", "The Funding wallet when last read.", "account coin", lambda item: _coins(item.wallet)),
    (
        "wallet_reserve_coins",
        "What stays in the wallet.",
        "account coin",
        lambda item: _coins(item.reserve),
    ),
    ("due_coins", "What fixed loans will soon take.", "account coin", lambda item: _coins(item.due)),
    (
        "contract_owed_coins",
        "What a pool's fixed loan owes.",
        "account coin contract",
        lambda item: _contracts(item, lambda contract: contract.owed),
    ),
    (
        "contract_left_seconds",
        "Until the end of a pool's fixed loan; negative once it is past.",
        "account coin contract",
        lambda item: _contracts(item, lambda contract: (contract.ends_at_ms - item.exchange_ms) / MS),
    ),
    (
        "requests_left",
        "Requests that may leave now, by endpoint.",
        "account endpoint",
        lambda item: _by(item.requests_left),
    ),
    ("open_intents", "Adjustments that are not settled.", "account state", _open),
    ("oldest_open_intent_seconds", "How long the oldest of them is open.", "account", _oldest),
)
COUNTED: tuple[tuple[str, str, str, Rows], ...] = (
    (
        "requests",
        "Requests to the exchange, by how they ended.",
        "account answer",
        lambda item: _by(item.counts.requests),
    ),
    (
        "adjustments",
        "Adjustments, by each state they came to.",
        "account direction state",
        lambda item: item.counts.adjustments.items(),
    ),
)
TIMED: tuple[tuple[str, str, Callable[[Counts], Span]], ...] = (
    ("cycle_seconds", "How long cycles took.", lambda counts: counts.cycles),
    (
        "breach_to_wire_seconds",
        "From the cycle that found a breach to the help that left for it.",
        lambda counts: counts.breaches,
    ),
)
OF_A_LOAN: tuple[tuple[str, str, Callable[[LoanStatus], Decimal]], ...] = (
    ("ltv", "The loan's LTV.", lambda item: item.loan.ltv),
    ("trigger_ltv", "Where collateral is added.", lambda item: item.trigger_ltv),
    ("target_ltv", "Where an add ends.", lambda item: item.target_ltv),
    ("margin_call_ltv", "The exchange's margin call.", lambda item: item.loan.margin_call_ltv),
    ("liquidation_ltv", "Where the exchange liquidates.", lambda item: item.loan.liquidation_ltv),
    ("fall_to_liquidation", "The fall of prices that leads there.", lambda item: item.fall_to_liquidation),
)
