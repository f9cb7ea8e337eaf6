"""An error of ours in one read costs what that read is for, and no loan its help."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NoReturn

import pytest
import structlog
from exchange_model import POOL, ModelAccount, ModelLoans, ModelPath, a_guard, a_world, key_of

from ltv_guard.adapters.journal.memory import MemoryJournal
from ltv_guard.core.model.loans import Product


async def fails(*_: Any, **__: Any) -> NoReturn:  # noqa: ANN401 - whatever it is asked
    raise TypeError("ours")


@pytest.mark.parametrize(
    ("whose", "read"), [(ModelPath, "history"), (ModelAccount, "prices"), (ModelAccount, "unified")]
)
async def test_a_loan_is_helped_though_a_read_fails_by_our_own_fault(
    monkeypatch: pytest.MonkeyPatch, whose: type[Any], read: str
) -> None:
    monkeypatch.setattr(whose, read, fails)
    world = a_world("0.77")
    with structlog.testing.capture_logs() as events:
        await a_guard(world, MemoryJournal()).cycle()
    assert world.ltv(key_of(1)) <= Decimal("0.65")
    told = [item for item in events if item["event"] == "defect"]
    assert len(told) == (read != "unified")  # which is not read where nothing may be moved
    assert all(item["exc_info"] is not None for item in told)


async def test_one_product_that_cannot_be_read_by_our_own_fault_does_not_blind_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loans = ModelLoans.loans

    async def read(self: ModelLoans, _: object = None) -> Any:  # noqa: ANN401 - a book
        return await (fails() if self.product is Product.LEGACY else loans(self))

    monkeypatch.setattr(ModelLoans, "loans", read)
    world = a_world("0.77", pool="0.77")
    with structlog.testing.capture_logs() as events:
        outcome = await a_guard(world, MemoryJournal()).cycle()
    assert outcome.blind
    assert world.ltv(POOL) <= Decimal("0.66")
    assert any(item["event"] == "defect" for item in events)
