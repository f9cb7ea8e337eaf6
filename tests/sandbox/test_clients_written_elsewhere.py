"""ccxt and pybit, unmodified but for the host, drive the sandbox."""

from pathlib import Path

import ccxt.async_support as ccxt
import pytest

from ltv_guard.sandbox import Sandbox

SCENARIOS = Path(__file__).parents[2] / "config" / "scenarios"
ORDER = "1794267532472646144"


def ccxt_client(url: str, signs_with: str = "sandbox-secret") -> ccxt.bybit:
    client = ccxt.bybit({"apiKey": "sandbox-key", "secret": signs_with})
    client.urls["api"] = dict.fromkeys(client.urls["api"], url)
    return client


async def test_ccxt_reads_and_adjusts_a_legacy_loan() -> None:
    async with Sandbox(SCENARIOS / "calm.yaml").serve() as exchange:
        client = ccxt_client(exchange.url)
        try:
            listed = await client.privateGetV5CryptoLoanOngoingOrders()
            done = await client.privatePostV5CryptoLoanAdjustLtv(
                {"orderId": ORDER, "amount": "0.1", "direction": "0"}
            )
        finally:
            await client.close()
        assert listed["result"]["list"][0]["currentLTV"] == "0.6000"
        assert done["result"]["adjustId"] == str(exchange.ledger.effects[0].adjust_id)


async def test_a_wrong_secret_gets_10004() -> None:
    async with Sandbox(SCENARIOS / "calm.yaml").serve() as exchange:
        client = ccxt_client(exchange.url, signs_with="wrong")
        try:
            with pytest.raises(ccxt.AuthenticationError, match="10004"):
                await client.privateGetV5CryptoLoanOngoingOrders()
        finally:
            await client.close()
