"""The fixed loans of a pool, asked for coin by coin (v5/new-crypto-loan/fixed/borrow-contract)."""

from __future__ import annotations

from ltv_guard.adapters.bybit.client import BybitClient
from ltv_guard.adapters.bybit.contract_wire import parse_contracts
from ltv_guard.adapters.bybit.oddities import Reading
from ltv_guard.adapters.bybit.paging import pages
from ltv_guard.core.model.contracts import ContractList

CONTRACTS = "/v5/crypto-loan-fixed/borrow-contract-info"


class FixedContracts:
    """Implements ports.ContractExchange."""

    def __init__(self, client: BybitClient) -> None:
        self._client = client

    async def contracts(self, coin: str) -> ContractList:
        """Those in `coin`: the page calls its filter optional, one client of the exchange's own requires it.

        Raises ExchangeUnavailable, NeedsHuman.
        """
        reading = Reading(CONTRACTS)
        listed = [
            item
            async for page in pages(self._client, CONTRACTS, asked={"orderCurrency": coin})
            for item in page
        ]
        found = parse_contracts(listed, coin, reading)
        self._client.oddities.note(CONTRACTS, reading.found, part=coin)
        return found
