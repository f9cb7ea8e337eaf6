"""ccxt and pybit, unmodified but for the host, drive the sandbox."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import ccxt.async_support as ccxt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pybit import exceptions
from pybit.unified_trading import HTTP
from sandbox_world import ORDER, Serve

from ltv_guard.sandbox import Fault


@asynccontextmanager
async def ccxt_client(url: str, signs_with: str = "secret-one") -> AsyncIterator[Any]:
    client = ccxt.bybit({"apiKey": "one", "secret": signs_with})
    client.urls["api"] = dict.fromkeys(client.urls["api"], url)
    try:
        yield client
    finally:
        await client.close()


async def pybit_call(
    url: str, name: str, *, signs_with: str = "secret-one", rsa_key: bool = False, **asked: object
) -> dict[str, Any]:
    """Call pybit in a thread: it is synchronous, and the sandbox runs in this loop."""

    def call() -> dict[str, Any]:
        session = HTTP(api_key="one", api_secret=signs_with, rsa_authentication=rsa_key, max_retries=1)
        session.endpoint = url
        try:
            found: dict[str, Any] = getattr(session, name)(**asked)
            return found
        finally:
            session.client.close()

    return await asyncio.to_thread(call)


@pytest.fixture(scope="module")
def rsa_keys() -> tuple[str, str]:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    secret = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return secret.decode(), public.decode()


async def test_ccxt_reads_and_adjusts_a_legacy_loan(serve: Serve) -> None:
    async with serve() as (exchange, _), ccxt_client(exchange.url) as client:
        listed = await client.privateGetV5CryptoLoanOngoingOrders()
        done = await client.privatePostV5CryptoLoanAdjustLtv(
            {"orderId": ORDER, "amount": "0.1", "direction": "0"}
        )
        most = await client.privateGetV5CryptoLoanMaxCollateralAmount({"orderId": ORDER})
        history = await client.privateGetV5CryptoLoanAdjustmentHistory({"limit": "1"})
        terms = await client.publicGetV5CryptoLoanCollateralData({"currency": "BTC"})
        assert listed["result"]["list"][0]["currentLTV"] == "0.6000"
        assert done["result"]["adjustId"] == str(exchange.ledger.effects[0].adjust_id)
        assert most["result"]["maxCollateralAmount"] == "0.35"
        assert history["result"]["list"][0]["adjustId"] == done["result"]["adjustId"]
        assert terms["result"]["vipCoinList"]


async def test_ccxt_reads_and_adjusts_a_pool(serve: Serve) -> None:
    async with serve() as (exchange, _), ccxt_client(exchange.url) as client:
        position = await client.privateGetV5CryptoLoanCommonPosition()
        most = await client.privateGetV5CryptoLoanCommonMaxCollateralAmount({"currency": "BTC"})
        done = await client.privatePostV5CryptoLoanCommonAdjustLtv(
            {"currency": "BTC", "amount": "0.1", "direction": "0"}
        )
        history = await client.privateGetV5CryptoLoanCommonAdjustmentHistory()
        own = await client.privateGetV5CryptoLoanCommonAdjustmentHistory(
            {"adjustId": str(done["result"]["adjustId"]), "collateralCurrency": "BTC"}
        )
        none = await client.privateGetV5CryptoLoanCommonAdjustmentHistory({"collateralCurrency": "ETH"})
        terms = await client.publicGetV5CryptoLoanCommonCollateralData({"currency": "BTC"})
        repaid = await client.privatePostV5CryptoLoanFlexibleRepay({"loanCurrency": "USDT", "amount": "100"})
        assert position["result"]["ltv"] == "0.500000"
        assert most["result"]["maxCollateralAmount"] == "0.375"
        (row,) = history["result"]["list"]
        assert str(row["adjustId"]) == str(done["result"]["adjustId"])
        assert (row["amount"], str(row["direction"]), str(row["status"])) == ("0.1", "0", "1")
        assert (own["result"]["list"], none["result"]["list"]) == ([row], [])
        assert terms["result"]["collateralRatioConfigList"][0]["currencies"] == "BTC"
        assert repaid["result"]["repayId"] == str(exchange.ledger.repayments[0].repay_id)


@pytest.mark.slow
async def test_ccxt_sees_a_pools_adjustment_pass_through_its_statuses(serve: Serve) -> None:
    """An answer with an adjustId is not the end: it is processed, and may fail."""
    for kind, ends in (("status_processing", "1"), ("status_failed", "3")):
        async with serve() as (exchange, _), ccxt_client(exchange.url) as client:
            exchange.add_fault(Fault(kind=kind, endpoint="adjust", seconds="3"))
            done = await client.privatePostV5CryptoLoanCommonAdjustLtv(
                {"currency": "ETH", "amount": "1", "direction": "0"}
            )
            seen = []
            while not seen or seen[-1] == "2":
                found = await client.privateGetV5CryptoLoanCommonAdjustmentHistory(
                    {"adjustId": str(done["result"]["adjustId"])}
                )
                seen.append(str(found["result"]["list"][0]["status"]))
            assert seen[-1] == ends
            assert ("2" in seen) is (kind == "status_processing")
            position = await client.privateGetV5CryptoLoanCommonPosition()
            coins = [row["currency"] for row in position["result"]["collateralList"]]
            assert coins == (["BTC", "ETH"] if ends == "1" else ["BTC"])


async def test_ccxt_is_told_why_a_pool_takes_no_coin(serve: Serve) -> None:
    async with serve(col_res="2") as (exchange, _), ccxt_client(exchange.url) as client:
        asked = {"currency": "BTC", "amount": "0.1", "direction": "0"}
        assert (await client.privateGetV5CryptoLoanCommonPosition())["result"]["colRes"] == "2"
        exchange.set_platform(closed_collateral=["BTC"], coin_col_res={"BTC": "2"})
        position = await client.privateGetV5CryptoLoanCommonPosition()
        assert position["result"]["collateralList"][0]["colRes"] == "2"
        with pytest.raises(ccxt.ExchangeError, match="148048"):
            await client.privatePostV5CryptoLoanCommonAdjustLtv(asked)
        assert not exchange.ledger.effects


async def test_ccxt_moves_coins_between_wallets_and_asks_about_its_key(serve: Serve) -> None:
    async with serve() as (exchange, _), ccxt_client(exchange.url) as client:
        await client.privatePostV5AssetTransferInterTransfer(
            {
                "transferId": "42c0cfb0-6bca-c242-bc76-4e6df6cbcb16",
                "coin": "BTC",
                "amount": "0.25",
                "fromAccountType": "UNIFIED",
                "toAccountType": "FUND",
            }
        )
        wallet = await client.privateGetV5AssetTransferQueryAccountCoinsBalance(
            {"accountType": "FUND", "coin": "BTC,USDT"}
        )
        key = await client.privateGetV5UserQueryApi()
        assert wallet["result"]["balance"][0]["walletBalance"] == "2.25"
        assert key["result"]["readOnly"] == 0


async def test_ccxt_with_a_wrong_secret_gets_10004(serve: Serve) -> None:
    async with serve() as (exchange, _), ccxt_client(exchange.url, signs_with="wrong") as client:
        with pytest.raises(ccxt.AuthenticationError, match="10004"):
            await client.privateGetV5CryptoLoanOngoingOrders()


async def test_ccxt_signs_with_rsa(serve: Serve, rsa_keys: tuple[str, str]) -> None:
    secret, public = rsa_keys
    keys = [{"key": "one", "rsa_public_key": public, "user": "1"}]
    async with serve(keys=keys) as (exchange, _), ccxt_client(exchange.url, signs_with=secret) as client:
        await client.privatePostV5CryptoLoanAdjustLtv({"orderId": ORDER, "amount": "0.1", "direction": "0"})
        assert len(exchange.ledger.effects) == 1


async def test_pybit_reads_and_adjusts_a_pool(serve: Serve) -> None:
    async with serve() as (exchange, _):
        url = exchange.url
        position = await pybit_call(url, "get_position_new_crypto_loan")
        most = await pybit_call(
            url, "get_max_allowed_collateral_reduction_amount_new_crypto_loan", currency="BTC"
        )
        done = await pybit_call(
            url, "adjust_collateral_amount_new_crypto_loan", currency="BTC", amount="0.1", direction="1"
        )
        history = await pybit_call(url, "get_ltv_adjustment_history_new_crypto_loan")
        terms = await pybit_call(url, "get_collateral_coins_new_crypto_loan", currency="BTC")
        assert position["result"]["ltv"] == "0.500000"
        assert most["result"]["maxCollateralAmount"] == "0.375"
        assert history["result"]["list"][0]["adjustId"] == done["result"]["adjustId"]
        assert history["result"]["list"][0]["direction"] == 1
        assert exchange.ledger.effects[0].direction == "reduce"
        assert terms["result"]["currencyLiquidationList"] == [{"currency": "BTC", "liquidationOrder": 1}]


async def test_pybit_moves_coins_once_and_repays_a_pool(serve: Serve) -> None:
    async with serve() as (exchange, client):
        url, moved = exchange.url, client.transfer_of("0.25")
        await pybit_call(url, "create_internal_transfer", **moved)
        with pytest.raises(exceptions.InvalidRequestError, match="131214"):
            await pybit_call(url, "create_internal_transfer", **moved)
        listed = await pybit_call(url, "get_internal_transfer_records", transferId=moved["transferId"])
        done = await pybit_call(url, "repay_flexible_crypto_loan", loanCurrency="USDT", amount="100")
        repaid = await pybit_call(url, "get_repayment_history_flexible_crypto_loan")
        assert [(row["amount"], row["status"]) for row in listed["result"]["list"]] == [("0.25", "SUCCESS")]
        assert [row["repayId"] for row in repaid["result"]["list"]] == [done["result"]["repayId"]]


async def test_pybit_asks_for_time_prices_wallet_and_key(serve: Serve) -> None:
    async with serve() as (exchange, _):
        assert (await pybit_call(exchange.url, "get_server_time"))["result"]["timeSecond"]
        prices = await pybit_call(exchange.url, "get_tickers", category="spot", symbol="BTCUSDT")
        assert prices["result"]["list"][0]["lastPrice"] == "50000"
        wallet = await pybit_call(exchange.url, "get_coins_balance", accountType="FUND", coin="BTC")
        assert wallet["result"]["balance"][0]["walletBalance"] == "2"
        assert (await pybit_call(exchange.url, "get_api_key_information"))["result"]["userID"] == 1


async def test_pybit_signs_a_legacy_adjustment_with_hmac_and_rsa(
    serve: Serve, rsa_keys: tuple[str, str]
) -> None:
    """Its own legacy methods name paths that don't exist, so the generic request is used."""
    secret, public = rsa_keys
    keys = [{"key": "one", "rsa_public_key": public, "user": "1"}]
    for changes, signs_with in (({}, "secret-one"), ({"keys": keys}, secret)):
        async with serve(**changes) as (exchange, _):
            done = await pybit_call(
                exchange.url,
                "_submit_request",
                signs_with=signs_with,
                rsa_key=signs_with == secret,
                method="POST",
                path=f"{exchange.url}/v5/crypto-loan/adjust-ltv",
                query={"orderId": ORDER, "amount": "0.1", "direction": "0"},
                auth=True,
            )
            assert done["result"]["adjustId"] == str(exchange.ledger.effects[0].adjust_id)


async def test_pybit_with_a_wrong_secret_gets_10004(serve: Serve) -> None:
    async with serve() as (exchange, _):
        with pytest.raises(exceptions.InvalidRequestError, match="10004"):
            await pybit_call(exchange.url, "get_position_new_crypto_loan", signs_with="wrong")
