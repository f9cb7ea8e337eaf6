"""LTVs and prices of a week: kept a row a minute, each user's apart, and nothing depends on one."""

from __future__ import annotations

from decimal import Decimal

from core_builders import key
from journal_tables import execute

from ltv_guard.adapters.journal import open_journal
from ltv_guard.core.model.loans import LoanKey, Owner, Product
from ltv_guard.core.model.samples import KEPT_MS, ChartSample

NOW = 1_790_000_000_000
OWNER, OTHER = Owner("mainnet", "1"), Owner("mainnet", "2")
POOL = LoanKey(Product.CRYPTO_LOAN, "pool")


def sample(at_ms: int = NOW, ltv: str = "0.60") -> ChartSample:
    ltvs = {key("17 9"): Decimal(ltv), POOL: Decimal("0.5")}
    return ChartSample(at_ms=at_ms, ltvs=ltvs, prices={"BTC": Decimal("61234.50")})


async def test_what_was_kept_is_read_back_in_order_by_another_run(url: str) -> None:
    journal = await open_journal(url)
    for at_ms in (NOW, NOW - 60_000, NOW + 60_000):
        await journal.samples.keep(OWNER, sample(at_ms))
    await journal.samples.keep(OTHER, sample(NOW, "0.9"))
    await journal.close()
    journal = await open_journal(url)
    assert await journal.samples.since(OWNER, NOW) == (sample(NOW), sample(NOW + 60_000))
    assert await journal.samples.since(OTHER, 0) == (sample(NOW, "0.9"),)
    await journal.close()


async def test_of_one_minute_the_last_is_kept_and_what_is_a_week_old_goes(url: str) -> None:
    journal = await open_journal(url)
    await journal.samples.keep(OTHER, sample(NOW - KEPT_MS))
    await journal.samples.keep(OWNER, sample(NOW - KEPT_MS))
    await journal.samples.keep(OWNER, sample(NOW - KEPT_MS + 1))
    await journal.samples.keep(OWNER, sample())
    await journal.samples.keep(OWNER, sample(ltv="0.7"))
    held = await journal.samples.since(OWNER, 0)
    assert held == (sample(NOW - KEPT_MS), sample(NOW - KEPT_MS + 1), sample(ltv="0.7"))
    await journal.samples.keep(OWNER, sample(NOW + 1))
    assert [item.at_ms for item in await journal.samples.since(OWNER, 0)] == [NOW - KEPT_MS + 1, NOW, NOW + 1]
    assert len(await journal.samples.since(OTHER, 0)) == 1
    await journal.close()


async def test_a_row_that_makes_no_sense_is_passed_over(url: str) -> None:
    journal = await open_journal(url)
    for at_ms in range(NOW, NOW + 6):
        await journal.samples.keep(OWNER, sample(at_ms))
    await journal.close()
    for at_ms, column, text in (
        (NOW, "ltvs", "no JSON"),
        (NOW + 1, "ltvs", "[]"),
        (NOW + 2, "ltvs", '{"gone 1": "0.5"}'),
        (NOW + 3, "prices", '{"BTC": "much"}'),
        (NOW + 4, "prices", '{"BTC": "NaN"}'),
    ):
        await execute(url, f"UPDATE samples SET {column} = '{text}' WHERE at_ms = {at_ms}")  # noqa: S608
    journal = await open_journal(url)
    assert await journal.samples.since(OWNER, 0) == (sample(NOW + 5),)
    await journal.close()
