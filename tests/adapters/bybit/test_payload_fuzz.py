"""Whatever is odd in an answer: no other error leaves the adapter, and the other rows are read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from payload_mutations import (
    ADJUSTMENT,
    CONTRACT,
    CONTRACT_REPAYMENT,
    KEY,
    NOW_MS,
    ORDER,
    POOL_ADJUSTMENT,
    POOL_REPAYMENT,
    POSITION,
    REPAYMENT,
    TERMS,
    TICKERS,
    TIERS,
    TIME,
    TRANSFER,
    WALLET,
    Json,
    Mutation,
    combined,
    listed,
    mutations,
    table,
)

from ltv_guard.adapters.bybit import (
    BybitAccount,
    BybitClient,
    ExchangeClock,
    FixedContracts,
    LegacyLoans,
    PoolLoans,
    contract_repayments,
    repayments,
    transfers,
)
from ltv_guard.adapters.bybit.answers import Answer
from ltv_guard.core.model.contracts import ContractList
from ltv_guard.core.model.errors import (
    ExchangeUnavailable,
    NeedsHuman,
    WriteNotSent,
    WriteOutcomeUnknown,
    WriteRejected,
)
from ltv_guard.core.model.history import History
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import LoanKey, Product

if TYPE_CHECKING:
    from conftest import Parts

    Connect = Callable[..., Parts]

OTHER_ORDER = "1793683005081680385"
OTHER_CONTRACT = "1540"
OTHER_ID = "7000000000000000001"
OTHER_TRANSFER = "11111111-2222-4333-8444-555555555555"
ERRORS: dict[bool, tuple[type[Exception], ...]] = {
    False: (ExchangeUnavailable, NeedsHuman),
    True: (WriteNotSent, WriteOutcomeUnknown, WriteRejected),
}
ANSWERS: dict[str, Json] = {
    "/v5/market/time": TIME,
    "/v5/crypto-loan/ongoing-orders": listed(ORDER, orderId=OTHER_ORDER),
    "/v5/crypto-loan/adjustment-history": listed(ADJUSTMENT, adjustId=OTHER_ID),
    "/v5/crypto-loan/repayment-history": listed(REPAYMENT, repayId=OTHER_ID),
    "/v5/crypto-loan/collateral-data": TERMS,
    "/v5/crypto-loan/max-collateral-amount": {"maxCollateralAmount": "0.00210611"},
    "/v5/crypto-loan/adjust-ltv": {"adjustId": "1794318409405331968"},
    "/v5/crypto-loan/repay": {"repayId": "1771"},
    "/v5/crypto-loan-common/position": POSITION,
    "/v5/crypto-loan-common/adjustment-history": listed(POOL_ADJUSTMENT, adjustId=int(OTHER_ID)),
    "/v5/crypto-loan-common/collateral-data": TIERS,
    "/v5/crypto-loan-flexible/repayment-history": listed(POOL_REPAYMENT, repayId=OTHER_ID),
    "/v5/crypto-loan-fixed/borrow-contract-info": listed(CONTRACT, loanId=OTHER_CONTRACT),
    "/v5/crypto-loan-fixed/repayment-history": listed(
        CONTRACT_REPAYMENT, repayId=OTHER_ID, details=[{"loanId": OTHER_CONTRACT, "repayAmount": "0.05"}]
    ),
    "/v5/asset/transfer/query-inter-transfer-list": listed(TRANSFER, transferId=OTHER_TRANSFER),
    "/v5/asset/transfer/inter-transfer": {"transferId": OTHER_TRANSFER, "status": "SUCCESS"},
    "/v5/asset/transfer/query-account-coins-balance": WALLET,
    "/v5/user/query-api": KEY,
    "/v5/market/tickers": TICKERS,
}


class Wire:
    """In place of the transport: answers each path with bytes, as the exchange would."""

    def __init__(self) -> None:
        self.spoiled: dict[str, Json] = {}

    async def get(
        self, path: str, query: str, headers: Mapping[str, str], *, largest: int | None = None
    ) -> Answer:
        return self.answer(path)

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        return self.answer(path)

    def answer(self, path: str) -> Answer:
        usual = {
            "retCode": 0,
            "retMsg": "OK",
            "result": ANSWERS.get(path, {}),
            "retExtInfo": {},
            "time": NOW_MS,
        }
        text = json.dumps(self.spoiled.get(path, usual), default=bare)
        return Answer(status=200, body=text.replace('"@', "").replace('@"', "").encode())

    async def close(self) -> None:
        return


def bare(value: object) -> str:
    """A Decimal stands in the JSON without quotes: NaN and Infinity, too."""
    return f"@{value}@"


@dataclass(frozen=True)
class Adapter:
    """All that reads or writes, over one client."""

    wire: Wire
    client: BybitClient
    account: BybitAccount
    legacy: LegacyLoans
    pool: PoolLoans


Act = Callable[[Adapter], Awaitable[Any]]
Check = Callable[[Any, Any, Mutation], None]


@dataclass(frozen=True)
class Reader:
    """One thing that is read (or written), and what must hold of it where a row beside is odd."""

    name: str
    path: str
    act: Act
    check: Check
    writes: bool = False

    def __str__(self) -> str:
        return self.name


def nothing_more(found: Any, usual: Any, spoiled: Mutation) -> None:  # noqa: ANN401 - whatever was read
    """That it did not raise anything else is all."""


def in_first_row(spoiled: Mutation) -> bool:
    return 0 in spoiled.path


def the_other_order_is_read(found: LoanBook, usual: LoanBook, spoiled: Mutation) -> None:
    if in_first_row(spoiled):
        other = LoanKey(Product.LEGACY, OTHER_ORDER)
        assert found.loan(other) == usual.loan(other)
        assert len(found.loans) + len(found.set_aside) == 2


def orders_are_guarded_whatever_the_terms(found: LoanBook, usual: LoanBook, spoiled: Mutation) -> None:
    assert len(found.loans) == 2
    if spoiled.path.count(0) > 1:
        assert found.loans == usual.loans


def the_pool_is_guarded(found: LoanBook, usual: LoanBook, spoiled: Mutation) -> None:
    """The one LTV is read, and all coins but the odd one; without the list of coins it is set aside."""
    if spoiled.path == ("collateralList",):
        assert found.loans or found.set_aside
        return
    if spoiled.path == ("totalDebt",) and not found.set_aside and not found.loans:
        pytest.fail("a pool that owes something is gone")
    (loan,) = found.loans
    (whole,) = usual.loans
    if spoiled.path not in {("ltv",), ("totalDebt",), ("totalCollateral",)}:
        assert (loan.ltv, loan.totals) == (whole.ltv, whole.totals)
        assert loan.collateral[1:4] == whole.collateral[1:4]
    elif spoiled.kind not in {"wrong type", "zero", "negative", "huge", "tiny", "other case"}:
        assert abs(loan.ltv - whole.ltv) < Decimal("0.00001")


def the_other_row_is_read(found: History, usual: History, spoiled: Mutation) -> None:
    if not in_first_row(spoiled):
        return
    other = usual.rows[1]
    assert other in found.rows
    rest = [row for row in found.rows if row != other]
    passed_over = spoiled.path[-1] in {"fromAccountType", "toAccountType"}
    assert len(rest) + len(found.doubtful) == 1 or passed_over or row_is_old(spoiled), (rest, found.doubtful)


def no_contract_is_made_up(found: History, usual: History, spoiled: Mutation) -> None:
    """A row whose details are odd is of no contract that is named, so that it may be of any."""
    the_other_row_is_read(found, usual, spoiled)
    named = {row.contract_id for row in found.rows}
    assert named <= {"1539", OTHER_CONTRACT, None} or spoiled.path[-1] == "loanId"


def the_other_contract_is_read(found: ContractList, usual: ContractList, spoiled: Mutation) -> None:
    if in_first_row(spoiled):
        assert usual.contracts[1] in found.contracts
        assert all(item.owed >= 0 for item in found.contracts)
        may_lack = not found.whole or spoiled.path[-1] in {"borrowCurrency", "status", "loanId"}
        assert len(found.contracts) == 2 or may_lack, found


def row_is_old(spoiled: Mutation) -> bool:
    return spoiled.path[-1] in {"adjustTime", "repayTime", "timestamp", "adjustId", "repayId", "transferId"}


def the_other_coin_is_read(
    found: Mapping[str, Decimal], usual: Mapping[str, Decimal], spoiled: Mutation
) -> None:
    if not in_first_row(spoiled):
        return
    assert found["BTC"] == usual["BTC"]
    if spoiled.path[-1] == "transferBalance" and spoiled.kind in {"absent", "null", "empty", "not a number"}:
        assert "ETH" not in found  # unread, which is not none


def the_other_price_is_read(
    found: Mapping[str, Decimal], usual: Mapping[str, Decimal], spoiled: Mutation
) -> None:
    assert not in_first_row(spoiled) or found["BTC"] == usual["BTC"]
    assert all(price > 0 for price in found.values())


def whose_it_is_is_read(found: Any, usual: Any, spoiled: Mutation) -> None:  # noqa: ANN401 - an Identity
    if spoiled.path != ("userID",):
        assert found.user_id == usual.user_id
        assert found.can_adjust or spoiled.path[0] in {"permissions", "readOnly"}


async def history_of(path: Any) -> History:  # noqa: ANN401 - a WritePath
    found: History = await path.history(NOW_MS - 86_400_000)
    return found


async def loans_of(exchange: LegacyLoans | PoolLoans) -> LoanBook:
    return await exchange.loans()


async def maximum(adapter: Adapter) -> Decimal:
    loan = (await adapter.legacy.loans()).loans[0]
    return await adapter.legacy.max_reduction(loan, "BTC")


async def written(adapter: Adapter, path: str, id_field: str) -> str:
    return await adapter.client.send(path, b"{}", {}, id_field)


def readers() -> list[Reader]:
    loan, common, asset = "/v5/crypto-loan", "/v5/crypto-loan-common", "/v5/asset/transfer"
    rows, other_row = the_other_row_is_read, the_other_row_is_read
    wallet = f"{asset}/query-account-coins-balance"
    coins = ["BTC", "ETH"]
    return [
        Reader("orders", f"{loan}/ongoing-orders", lambda it: loans_of(it.legacy), the_other_order_is_read),
        Reader(
            "terms",
            f"{loan}/collateral-data",
            lambda it: loans_of(it.legacy),
            orders_are_guarded_whatever_the_terms,
        ),
        Reader("order history", f"{loan}/adjustment-history", lambda it: history_of(it.legacy), rows),
        Reader("maximum", f"{loan}/max-collateral-amount", maximum, nothing_more),
        Reader("position", f"{common}/position", lambda it: loans_of(it.pool), the_pool_is_guarded),
        Reader("pool terms", f"{common}/collateral-data", lambda it: loans_of(it.pool), nothing_more),
        Reader("pool history", f"{common}/adjustment-history", lambda it: history_of(it.pool), rows),
        Reader(
            "order repayments",
            f"{loan}/repayment-history",
            lambda it: history_of(repayments(it.client, Product.LEGACY)),
            other_row,
        ),
        Reader(
            "pool repayments",
            "/v5/crypto-loan-flexible/repayment-history",
            lambda it: history_of(repayments(it.client, Product.CRYPTO_LOAN)),
            other_row,
        ),
        Reader(
            "contract repayments",
            "/v5/crypto-loan-fixed/repayment-history",
            lambda it: history_of(contract_repayments(it.client)),
            no_contract_is_made_up,
        ),
        Reader(
            "contracts",
            "/v5/crypto-loan-fixed/borrow-contract-info",
            lambda it: FixedContracts(it.client).contracts("ETH"),
            the_other_contract_is_read,
        ),
        Reader(
            "transfers",
            f"{asset}/query-inter-transfer-list",
            lambda it: history_of(transfers(it.client)),
            other_row,
        ),
        Reader("wallet", wallet, lambda it: it.account.wallet(coins), the_other_coin_is_read),
        Reader("unified", wallet, lambda it: it.account.unified(coins), the_other_coin_is_read),
        Reader("key", "/v5/user/query-api", lambda it: it.account.identify(), whose_it_is_is_read),
        Reader("tickers", "/v5/market/tickers", lambda it: it.account.prices(), the_other_price_is_read),
        Reader("time", "/v5/market/time", lambda it: it.client.server_time(), nothing_more),
        Reader(
            "adjust",
            f"{loan}/adjust-ltv",
            lambda it: written(it, f"{loan}/adjust-ltv", "adjustId"),
            nothing_more,
            writes=True,
        ),
        Reader(
            "transfer",
            f"{asset}/inter-transfer",
            lambda it: written(it, f"{asset}/inter-transfer", "transferId"),
            nothing_more,
            writes=True,
        ),
    ]


@pytest.fixture
async def adapter(connect: Connect) -> Callable[[], Adapter]:
    """Makes adapters anew: what they keep (terms, prices) must not hide what is odd."""

    async def at_once(_: float) -> None:
        return

    def make() -> Adapter:
        clock = ExchangeClock(wall=lambda: NOW_MS / 1000, monotonic=lambda: 0.0, sleep=at_once)
        client = connect("http://127.0.0.1:1", clock=clock).client
        wire = Wire()
        client._transport = wire  # type: ignore[assignment]
        pool = PoolLoans(
            client, candidates=("BTC",), margin_call_ltv=Decimal("0.85"), liquidation_ltv=Decimal("0.93")
        )
        return Adapter(wire, client, BybitAccount(client), LegacyLoans(client), pool)

    return make


def envelope(result: Json) -> dict[str, Json]:
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": NOW_MS}


async def outcome(reader: Reader, adapter: Adapter) -> tuple[Any, Exception | None]:
    """What was read, or the error that a caller is prepared for. Any other one fails the test."""
    try:
        return await reader.act(adapter), None
    except ERRORS[reader.writes] as error:
        return None, error


async def read(
    reader: Reader, make: Callable[[], Adapter], answer: Json, spoiled: Sequence[Mutation], usual: object
) -> None:
    adapter = make()
    adapter.wire.spoiled[reader.path] = answer
    found, error = await outcome(reader, adapter)
    if error is not None:
        assert str(error).isprintable(), spoiled
        tolerable = reader.check is nothing_more or not all(in_first_row(item) for item in spoiled)
        assert tolerable, f"{spoiled}: {error}"
        return
    for item in adapter.client.oddities.current():
        assert f"{item.endpoint}{item.row}{item.why}{item.follows}".isprintable(), spoiled
        assert len(item.why) < 300, spoiled
    if len(spoiled) == 1:
        reader.check(found, usual, spoiled[0])


def envelopes() -> Iterator[Mutation]:
    """The frame of every answer."""
    for item in mutations(envelope({})):
        if item.path != ("result",) or item.kind != "wrong type":
            yield item


def renamed(item: Mutation, answer: Json) -> Json:
    """What a field's name in another case leaves: its value under a name that nobody asks for."""
    spoiled = item.applied(answer)
    if item.kind == "other case of its name":
        *way, last = item.path
        before, after = answer, spoiled
        for step in way:
            before, after = before[step], after[step]
        after[str(last).swapcase()] = before[last]
    return spoiled


async def fuzz(make: Callable[[], Adapter], *, every: int, more: int) -> Counter[tuple[str, str]]:
    """Each `every`th mutation of each payload by itself, and `more` payloads of several at once."""
    counts: Counter[tuple[str, str]] = Counter()
    for number, reader in enumerate(readers()):
        usual = await reader.act(make())
        result = ANSWERS[reader.path]
        found = list(mutations(result))
        for item in found[number % every :: every]:
            await read(reader, make, envelope(renamed(item, result)), [item], usual)
            counts[reader.name, item.kind] += 1
        for item in list(envelopes())[number % every :: every]:
            await read(reader, make, item.applied(envelope(result)), [item], usual)
            counts[f"{reader.name} (frame)", item.kind] += 1
        for answer, items in combined(found, result, more, seed=number):
            await read(reader, make, envelope(answer), items, usual)
            counts[reader.name, "several at once"] += 1
    return counts


async def test_an_odd_field_costs_its_own_row_and_no_other_error_leaves_the_adapter(
    adapter: Callable[[], Adapter],
) -> None:
    counts = await fuzz(adapter, every=13, more=5)
    print(f"\n{table(counts)}")  # noqa: T201 - the count is what the run is read for
    assert counts.total() >= 1000


@pytest.mark.nightly
@pytest.mark.timeout(1800)
async def test_every_odd_value_of_every_field_costs_its_own_row(adapter: Callable[[], Adapter]) -> None:
    counts = await fuzz(adapter, every=1, more=700)
    print(f"\n{table(counts)}")  # noqa: T201 - the count is what the run is read for
    assert counts.total() >= 20_000
