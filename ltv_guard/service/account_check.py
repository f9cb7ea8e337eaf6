"""What `check` reads of one account: all that `run` reads, each with a line of its own. Changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from ltv_guard.adapters.settings import Settings
from ltv_guard.core.amounts.due import due_coins
from ltv_guard.core.model.contracts import ContractList
from ltv_guard.core.model.errors import ExchangeUnavailable, GuardError, NeedsHuman
from ltv_guard.core.model.history import History
from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Channel, Kind, Loan
from ltv_guard.core.ports import LoanExchange, WritePath
from ltv_guard.core.reconcile.polarity import Polarity, polarity_of_all
from ltv_guard.guard.state.intent_book import DAY_MS
from ltv_guard.service.cover_check import examine_contract, examine_falls, examine_thresholds
from ltv_guard.service.findings import Finding
from ltv_guard.service.rules import rulebook_of
from ltv_guard.service.wiring import Wiring

T = TypeVar("T")

KINDS = {
    Kind.ADJUSTMENT: "adjustments",
    Kind.REPAYMENT: "repayments",
    Kind.FIXED_REPAYMENT: "repayments of fixed loans",
    Kind.TRANSFER: "transfers",
}
COINS_SHOWN = 6
MONTH_MS = 30 * DAY_MS


async def examine(
    settings: Settings, wiring: Wiring, name: str, *, key_is_refused: bool = False
) -> list[Finding]:
    """Loans, terms, wallets, histories and prices, as a cycle that has something to do would read them.

    `key_is_refused`: what takes a key is not asked for, where the same refusal would come each time.
    """
    return await _Examination(settings, wiring, name, key_is_refused=key_is_refused).run()


class _Examination:
    def __init__(self, settings: Settings, wiring: Wiring, name: str, *, key_is_refused: bool) -> None:
        self._key_is_refused = key_is_refused
        self._settings = settings
        self._wiring = wiring
        self._name = name
        self._what = f"accounts.{name}"
        self._rulebook = rulebook_of(settings.accounts[name])
        self._findings: list[Finding] = []
        self._listed: dict[str, ContractList] = {}

    async def run(self) -> list[Finding]:
        books = [await self._loans(exchange) for exchange in self._wiring.products[self._name]]
        for exchange in self._wiring.products[self._name]:
            coins = await self._read_by_anybody(f"terms, {exchange.product}", exchange.collateral_coins())
            if coins is not None:
                found = f"{_many(len(coins), 'coin')} can be collateral" if coins else "they can't be read"
                mend = "" if coins else "check again once the exchange answers"
                self._found(f"terms, {exchange.product}", found, mend, good=bool(coins))
        loans = [loan for book in books if book is not None for loan in book.loans]
        if books and not any(book is None or book.loans or book.set_aside for book in books):
            products = " and ".join(exchange.product for exchange in self._wiring.products[self._name])
            mend = "is it the right account? A sub-account needs a key of its own"
            self._found("loans", f"there is none to guard, in {products}", mend)
        self._findings += examine_thresholds(self._what, loans, self._rulebook)
        await self._contracts(loans)
        await self._wallets(loans)
        await self._histories()
        prices = await self._read_by_anybody("prices", self._wiring.accounts[self._name].prices())
        if prices is not None:
            good = len(prices) > 0
            self._found("prices", f"of {_many(len(prices), 'coin')}", good=good)
        if all(book is not None for book in books):
            await self._settings_match([book for book in books if book is not None])
        return self._findings

    async def _loans(self, exchange: LoanExchange) -> LoanBook | None:
        what = f"loans, {exchange.product}"
        book = await self._read(what, exchange.loans())
        if book is not None:
            worst = max((loan.ltv for loan in book.loans), default=None)
            highest = "" if worst is None else f", the highest LTV {worst:f}"
            self._found(what, f"{_many(len(book.loans), 'loan')}{highest}")
            for item in book.set_aside:
                mend = "look after this loan by hand; report it if it looks right in the exchange's app"
                self._found(f"loan {item.key.loan_id}", f"set aside: {item.why}", mend, good=False)
        return book

    async def _contracts(self, loans: Sequence[Loan]) -> None:
        """A line for each fixed loan of the pool, and for each coin whose could not be read."""
        exchange = self._wiring.contracts.get(self._name)
        if exchange is None:
            return
        for coin in sorted({debt.coin for loan in loans for debt in loan.debts if debt.fixed > 0}):
            found = await self._read(f"fixed loans in {coin}", exchange.contracts(coin))
            if found is not None:
                self._listed[coin] = found
                now_ms = self._wiring.clock.now().exchange_ms
                rule = next(self._rulebook.policy_for(loan).repay_fixed for loan in loans if loan.is_pool)
                self._findings += [
                    examine_contract(self._what, item, now_ms, rule) for item in found.contracts
                ]

    def _due(self, loans: Sequence[Loan]) -> dict[str, Decimal]:
        """Coins that the pool's fixed loans will soon take from the Funding wallet, by its policy."""
        pool = next((loan for loan in loans if loan.is_pool), None)
        if pool is None:
            return {}
        fixed = {debt.coin: debt.fixed for debt in pool.debts if debt.fixed > 0}
        policy, now_ms = self._rulebook.policy_for(pool), self._wiring.clock.now().exchange_ms
        by_us = policy.repay_fixed.enabled
        return due_coins(self._listed, fixed, now_ms, policy.due_within_ms, repaid_by_us=by_us)

    async def _wallets(self, loans: Sequence[Loan]) -> None:
        account = self._settings.accounts[self._name]
        coins = {item.coin for loan in loans for item in loan.collateral if not item.unread}
        coins |= {debt.coin for loan in loans for debt in loan.debts}
        coins = coins or set(account.policy.collateral_preference)
        exchange = self._wiring.accounts[self._name]
        wallet = await self._read("Funding wallet", exchange.wallet(coins))
        if wallet is not None:
            self._found("Funding wallet", _amounts(wallet) + _unread(coins - wallet.keys()))
            self._findings += examine_falls(self._what, loans, self._rulebook, wallet, self._due(loans))
        if account.sources.unified_transfer.enabled:
            unified = await self._read("Unified account", exchange.unified(coins))
            if unified is not None:
                self._found("Unified account", _amounts(unified) + _unread(coins - unified.keys()))

    async def _histories(self) -> None:
        account = self._settings.accounts[self._name]
        policies = [account.policy, *(rule.policy for rule in account.rules)]
        sells = any(item.repay_with_collateral.enabled for item in policies)
        fixed = sells or any(item.repay_fixed.enabled for item in policies)
        repays = sells or any(item.repay.enabled for item in policies)
        used = {
            Kind.ADJUSTMENT: True,
            Kind.REPAYMENT: repays,
            Kind.FIXED_REPAYMENT: fixed and bool(self._listed),
        }
        # A dry run moves nothing, and never reads where that would be listed.
        used[Kind.TRANSFER] = account.sources.unified_transfer.enabled and self._settings.mode == "live"
        since_ms = self._wiring.clock.now().exchange_ms - DAY_MS
        for path in (*self._wiring.products[self._name], *self._wiring.others[self._name]):
            if used[path.channel.kind]:
                history = await self._read(_list_of(path.channel), path.history(since_ms))
                if history is not None:
                    rows = _many(len(history.rows), "row")
                    odd = f", {len(history.doubtful)} not understood" if history.doubtful else ""
                    self._found(_list_of(path.channel), f"{rows} of the last day{odd}")
                    await self._directions(path, history)

    async def _directions(self, path: WritePath, history: History) -> None:
        """Whether adds lowered LTVs and releases raised them, by a few rows of the history."""
        if path.channel.kind is not Kind.ADJUSTMENT:
            return
        what = f"directions, {path.channel.product}"
        told = polarity_of_all(history.rows)
        if told is Polarity.UNTOLD:
            since_ms = self._wiring.clock.now().exchange_ms - MONTH_MS
            older = await self._read(what, path.history(since_ms))
            told = polarity_of_all(older.rows) if older is not None else told
        if told is Polarity.REVERSED:
            found = "the history shows adds that raised the LTV, or releases that lowered it"
            mend = "don't run it live for this product: an adjustment would do the opposite; report it"
            self._found(what, found, mend, good=False)
        elif told is Polarity.AS_MEANT:
            self._found(what, "the history bears them out: adds lowered the LTV, releases raised it")
        else:
            self._found(what, "no row of the last 30 days tells; the first adjustment will")

    async def _settings_match(self, books: list[LoanBook]) -> None:
        loans = [loan for book in books for loan in book.loans]
        aside = [item.key for book in books for item in book.set_aside]
        try:
            news = await self._wiring.matchers[self._name].look(loans, aside)
        except (ExchangeUnavailable, NeedsHuman):
            return  # prices or terms can't be read, which has a line of its own
        for _, item in news:
            mend = f"mend {item.key}, or take it out"
            self._findings.append(
                Finding(what=item.key, good=True, found=f"nothing matches: {item.why}", mend=mend)
            )

    async def _read(self, what: str, reading: Coroutine[Any, Any, T]) -> T | None:
        """What was read with the key; None, with a line that says why, where it could not be."""
        if self._key_is_refused:
            reading.close()
            self._found(what, "not looked at: the key is refused", good=False)
            return None
        return await self._read_by_anybody(what, reading)

    async def _read_by_anybody(self, what: str, reading: Coroutine[Any, Any, T]) -> T | None:
        try:
            return await reading
        except GuardError as error:
            self._found(what, str(error), _remedy(error), good=False)
            return None

    def _found(self, what: str, found: str, mend: str = "", *, good: bool = True) -> None:
        self._findings.append(Finding(what=f"{self._what}: {what}", good=good, found=found, mend=mend))


def _remedy(error: GuardError) -> str:
    if error.mend:
        return error.mend
    if isinstance(error, NeedsHuman):
        return "give the key what it lacks; until then run can't read this either"
    return "try again; if it lasts, run can't read this either: look after the loans by hand"


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _unread(coins: Collection[str]) -> str:
    return f"; {', '.join(sorted(coins))} could not be read" if coins else ""


def _amounts(wallet: Mapping[str, Decimal]) -> str:
    held = [f"{amount:f} {coin}" for coin, amount in sorted(wallet.items()) if amount > 0]
    if not held:
        return f"none of {', '.join(sorted(wallet)[:COINS_SHOWN])}"
    more = f" and {_many(len(held) - COINS_SHOWN, 'other coin')}" if len(held) > COINS_SHOWN else ""
    return ", ".join(held[:COINS_SHOWN]) + more


def _list_of(channel: Channel) -> str:
    kind = KINDS[channel.kind]
    return f"list of {kind}" if channel.kind is Kind.TRANSFER else f"list of {kind}, {channel.product}"
