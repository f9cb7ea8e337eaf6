"""The real client against the sandbox: what is repaid and moved there is read back as ours, to the digit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from ltv_guard.adapters.bybit import (
    Ban,
    BybitAccount,
    BybitClient,
    Credentials,
    ExchangeClock,
    HmacSigner,
    Host,
    LegacyLoans,
    PoolLoans,
    RequestLimits,
    repayments,
    transfers,
)
from ltv_guard.core.model.errors import Remedy, WriteOutcomeUnknown, WriteRejected
from ltv_guard.core.model.history import HistoryRow, RowStatus
from ltv_guard.core.model.intents import Intent, State
from ltv_guard.core.model.loans import Direction, Loan, LoanKey, Owner, Product
from ltv_guard.core.ports import WritePath
from ltv_guard.sandbox import Exchange, Sandbox, parse_scenario

D = Decimal
DAY_MS = 86_400_000
ORDER = LoanKey(Product.LEGACY, "1001")
POOL = LoanKey(Product.CRYPTO_LOAN, "pool")
FUNDING_BTC = LoanKey(Product.FUNDING, "BTC")
SCENARIO: dict[str, Any] = {
    "name": "round trip",
    "market": {"coins": {"BTC": {"path": [[0, "50000"]]}}},
    "coins": {"BTC": {"accuracy": 8}, "USDT": {"accuracy": 6}},
    "keys": [{"key": "key", "secret": "secret", "user": "1"}],
    "users": {
        "1": {
            "funding": {"USDT": "50000"},
            "unified": {"BTC": "1"},
            "orders": [
                {
                    "order_id": "1001",
                    "loan_coin": "USDT",
                    "debt": "30000",
                    "collateral_coin": "BTC",
                    "collateral": "1",
                }
            ],
            "pool": {"flexible": {"USDT": "22500"}, "fixed": {"BTC": "0.1"}, "collateral": {"BTC": "1"}},
        }
    },
    "limits": {"writes_per_s": 1000, "reads_per_s": 1000},
}


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    async with Sandbox(parse_scenario(SCENARIO)).serve() as served:
        yield served


@pytest.fixture
async def client(exchange: Exchange) -> AsyncIterator[BybitClient]:
    credentials = Credentials(api_key="key", signer=HmacSigner("secret"))
    async with BybitClient(
        Host(rest_url=exchange.url, clock=ExchangeClock(), ban=Ban("127.0.0.1")), credentials
    ) as client:
        yield client


MakeIntent = Callable[..., Intent]


@pytest.fixture
def intent(client: BybitClient) -> MakeIntent:
    def make(key: LoanKey, direction: Direction, coin: str, amount: str) -> Intent:
        now_ms = client.clock.now().exchange_ms
        return Intent(
            intent_id=uuid4().hex,
            owner=Owner("testnet", "1"),
            account="main",
            key=key,
            direction=direction,
            coin=coin,
            amount=D(amount),
            state=State.PLANNED,
            reason="a test",
            coins_before=D(0),
            ltv_before=D("0.6"),
            observed_at_ms=now_ms,
            seen_ids=frozenset(),
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
        )

    return make


async def sent(path: WritePath, intent: Intent) -> str:
    return await path.send(await path.sign(intent))


async def found(client: BybitClient, path: WritePath) -> tuple[HistoryRow, ...]:
    return (await path.history(client.clock.now().exchange_ms - DAY_MS)).rows


def is_row_of(row: HistoryRow, intent: Intent, adjust_id: str) -> bool:
    shown = (row.adjust_id, row.key, row.coin, row.direction, row.amount, row.status)
    wanted = (adjust_id, intent.key, intent.coin, intent.direction, intent.amount, RowStatus.SUCCESS)
    return shown == wanted


async def only_loan(product: LegacyLoans | PoolLoans) -> Loan:
    (loan,) = (await product.loans()).loans
    return loan


def pool_of(client: BybitClient) -> PoolLoans:
    return PoolLoans(client, candidates=("BTC",), margin_call_ltv=D("0.85"), liquidation_ltv=D("0.92"))


async def test_an_order_that_was_repaid_in_part_shows_it(client: BybitClient, intent: MakeIntent) -> None:
    path, loans = repayments(client, Product.LEGACY), LegacyLoans(client)
    before = await only_loan(loans)
    wanted = intent(ORDER, Direction.REPAY, "USDT", "1000.123457")
    adjust_id = await sent(path, wanted)
    (row,) = await found(client, path)
    assert is_row_of(row, wanted, adjust_id)
    after = await only_loan(loans)
    assert before.debts[0].accuracy == 6
    paid = before.debts[0].amount - after.debts[0].amount
    assert abs(paid - wanted.amount) < D("0.001")  # interest
    assert after.ltv < before.ltv
    assert await found(client, loans) == ()  # no row among the adjustments


async def test_a_pools_flexible_debt_that_was_repaid_in_part_shows_it(
    client: BybitClient, intent: MakeIntent
) -> None:
    path, loans = repayments(client, Product.CRYPTO_LOAN), pool_of(client)
    before = await only_loan(loans)
    wanted = intent(POOL, Direction.REPAY, "USDT", "500.000123")
    adjust_id = await sent(path, wanted)
    (row,) = await found(client, path)
    assert is_row_of(row, wanted, adjust_id)
    after = await only_loan(loans)
    owed, left = before.debt_in("USDT"), after.debt_in("USDT")
    assert owed is not None
    assert left is not None
    assert abs(owed.amount - left.amount - wanted.amount) < D("0.001")
    assert owed.repayable == owed.amount


async def test_a_pools_fixed_debt_is_not_to_be_repaid(client: BybitClient, intent: MakeIntent) -> None:
    debt = (await only_loan(pool_of(client))).debt_in("BTC")
    assert debt is not None
    assert (debt.amount, debt.repayable) == (D("0.1"), 0)
    path = repayments(client, Product.CRYPTO_LOAN)
    with pytest.raises(WriteRejected) as refused:
        await sent(path, intent(POOL, Direction.REPAY, "BTC", "0.01"))
    assert refused.value.remedy is Remedy.DEBT
    assert await found(client, path) == ()


async def test_more_than_the_wallet_holds_is_refused_and_moves_nothing(
    client: BybitClient, intent: MakeIntent
) -> None:
    path = repayments(client, Product.LEGACY)
    with pytest.raises(WriteRejected) as refused:
        await sent(path, intent(ORDER, Direction.REPAY, "USDT", "50000.1"))
    assert refused.value.remedy is Remedy.BALANCE
    assert await found(client, path) == ()


async def test_a_liquidation_pays_in_a_row_of_the_same_list(exchange: Exchange, client: BybitClient) -> None:
    """It explains why the debt shrank, and comes under an id of its own."""
    exchange.partial_liquidation("1", "1001", D("0.1"))
    (row,) = await found(client, repayments(client, Product.LEGACY))
    assert (row.key, row.direction, row.change) == (ORDER, Direction.REPAY, -5000)


async def test_coins_that_were_moved_are_in_the_funding_wallet(
    client: BybitClient, intent: MakeIntent
) -> None:
    path, account = transfers(client), BybitAccount(client)
    assert await account.unified(["BTC"]) == {"BTC": 1}
    wanted = intent(FUNDING_BTC, Direction.TRANSFER, "BTC", "0.31700001")
    assert await sent(path, wanted) == wanted.intent_id
    (row,) = await found(client, path)
    assert is_row_of(row, wanted, wanted.intent_id)
    assert await account.wallet(["BTC"]) == {"BTC": D("0.31700001")}
    assert await account.unified(["BTC"]) == {"BTC": D("0.68299999")}


async def test_one_intent_moves_coins_once_however_often_it_arrives(
    client: BybitClient, intent: MakeIntent
) -> None:
    path = transfers(client)
    wanted = intent(FUNDING_BTC, Direction.TRANSFER, "BTC", "0.2")
    await sent(path, wanted)
    with pytest.raises(WriteOutcomeUnknown, match="may have landed"):
        await sent(path, wanted)
    assert await BybitAccount(client).wallet(["BTC"]) == {"BTC": D("0.2")}
    assert len(await found(client, path)) == 1


async def test_more_than_the_unified_account_lets_go_is_refused(
    client: BybitClient, intent: MakeIntent
) -> None:
    path = transfers(client)
    with pytest.raises(WriteRejected) as refused:
        await sent(path, intent(FUNDING_BTC, Direction.TRANSFER, "BTC", "1.1"))
    assert refused.value.remedy is Remedy.BALANCE
    assert await found(client, path) == ()


async def test_sixty_transfers_take_two_pages(exchange: Exchange, intent: MakeIntent) -> None:
    credentials = Credentials(api_key="key", signer=HmacSigner("secret"))
    swift = RequestLimits(
        spacing_s={
            "/v5/asset/transfer/inter-transfer": 1e-6,
            "/v5/asset/transfer/query-inter-transfer-list": 1e-6,
        }
    )
    async with BybitClient(
        Host(rest_url=exchange.url, clock=ExchangeClock(), ban=Ban("127.0.0.1")), credentials, limits=swift
    ) as client:
        path = transfers(client)
        every = {await sent(path, intent(FUNDING_BTC, Direction.TRANSFER, "BTC", "0.001")) for _ in range(60)}
        assert {row.adjust_id for row in await found(client, path)} == every
