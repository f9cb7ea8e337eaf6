"""Makes `sandbox_world` importable from the tests beside it, and serves its scenario."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from sandbox_world import Client, Serve, build

from ltv_guard.sandbox import Exchange, Sandbox


@pytest.fixture
def serve() -> Serve:
    @asynccontextmanager
    async def served(**changes: object) -> AsyncIterator[tuple[Exchange, Client]]:
        async with Sandbox(build(**changes)).serve() as exchange:
            yield exchange, Client(exchange.url)

    return served
