"""Serves the scenario of `sandbox_world`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sandbox_world import Client, Serve, build

from ltv_guard.sandbox import Exchange, Sandbox


@pytest.fixture
def serve() -> Serve:
    @asynccontextmanager
    async def served(**changes: object) -> AsyncIterator[tuple[Exchange, Client]]:
        async with Sandbox(build(**changes)).serve() as exchange:
            yield exchange, Client(exchange.url)

    return served
