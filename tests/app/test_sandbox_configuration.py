"""The README's two shells: the shipped configuration, with a new journal, against the shipped crash."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from e2e_world import Event, until

from ltv_guard.adapters.settings import load
from ltv_guard.adapters.settings.shipped import shipped
from ltv_guard.sandbox import Sandbox
from ltv_guard.sandbox.state import state_of
from ltv_guard.service import check as checking
from ltv_guard.service import run as app

# Where it is caught; liquidated at 0.95. Where coins have to be moved, the crash goes on meanwhile.
WORST = {
    "flash_crash": Decimal("0.85"),
    "empty_funding": Decimal("0.90"),
    "no_collateral_left": Decimal("0.90"),
}


@pytest.mark.slow
@pytest.mark.parametrize("scenario", WORST)
async def test_a_new_journal_does_not_sleep_through_the_crash(
    tmp_path: Path, events: list[Event], scenario: str
) -> None:
    worst = Decimal(0)
    async with Sandbox(shipped(f"scenarios/{scenario}.yaml")).serve() as exchange:
        environ = {
            "LTV_GUARD_EXCHANGE__BASE_URL": exchange.url,
            "LTV_GUARD_JOURNAL__URL": f"sqlite:///{tmp_path / 'journal.db'}",
        }
        settings = load(shipped("sandbox.yaml"), environ=environ)
        await checking.check(settings)  # which starts the market
        stop = asyncio.Event()
        daemon = asyncio.create_task(app.run_daemon(settings, stop))

        def ended() -> bool:
            nonlocal worst
            state = state_of(exchange, wire=False)
            (order,) = state["users"]["100001"]["orders"]
            worst = max(worst, Decimal(order["ltv"] or 1))
            return bool(state["ended"])

        await until(ended, within_s=60)
        stop.set()
        assert await daemon == 0
    assert worst < WORST[scenario]
