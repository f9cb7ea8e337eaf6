"""An account's loans and Funding wallet as the exchange shows them now: one read, nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.adapters.settings import Settings
from ltv_guard.core.model.loan_book import SetAside
from ltv_guard.core.model.loans import Loan
from ltv_guard.service.compose import Frame, wire
from ltv_guard.service.heartbeat import banned_for_s
from ltv_guard.service.kill_switch import journal_to_read
from ltv_guard.service.rehearsal import Rehearsal
from ltv_guard.service.wiring import Wiring


@dataclass(frozen=True, slots=True, kw_only=True)
class LoansNow:
    """`wallet`: coins that can leave the Funding wallet; `prices`: USD a coin; `read_at_ms`: when."""

    loans: tuple[Loan, ...]
    set_aside: tuple[SetAside, ...]
    wallet: Mapping[str, Decimal]
    prices: Mapping[str, Decimal]
    read_at_ms: int


async def loans_now(settings: Settings, account: str) -> LoansNow:
    """Reads as a cycle does. Raises ConfigError, ExchangeUnavailable, NeedsHuman, JournalUnavailable."""
    async with journal_to_read(settings) as journal:
        banned_s = await banned_for_s(journal, settings)
        frame = Frame(settings=settings, journal=Rehearsal(journal), live=False)
        async with wire(frame, banned_for_s=banned_s) as wiring:
            return await _read(settings, wiring, account)


async def _read(settings: Settings, wiring: Wiring, account: str) -> LoansNow:
    exchange = wiring.accounts[account]
    await wiring.any_client.measure_clock()
    identity = await exchange.identify()
    books = []
    for product in wiring.products[account]:
        product.belongs_to(identity)
        books.append(await product.loans())
    loans = tuple(loan for book in books for loan in book.loans)
    held = {item.coin for loan in loans for item in loan.collateral}
    owed = {debt.coin for loan in loans for debt in loan.debts}
    coins = held | owed | set(settings.accounts[account].policy.collateral_preference)
    return LoansNow(
        loans=loans,
        set_aside=tuple(item for book in books for item in book.set_aside),
        wallet=await exchange.wallet(coins),
        prices=await exchange.prices(),
        read_at_ms=wiring.clock.now().exchange_ms,
    )
