"""Public spot prices as they change, over a websocket (v5/ws/connect). A hint when to look, nothing more.

One connection for a host and for all accounts. Whatever goes wrong in it costs itself: it is dropped, or the
connection is made anew, and nothing here raises.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import SimpleNamespace

import aiohttp

from ltv_guard import __version__
from ltv_guard.adapters.bybit.ban import BAN_S, Ban
from ltv_guard.adapters.bybit.clock import ExchangeClock
from ltv_guard.adapters.bybit.fields import brief
from ltv_guard.adapters.bybit.latest_prices import LatestPrices
from ltv_guard.adapters.bybit.source_address import MEND, is_lost, local_address
from ltv_guard.adapters.bybit.stream_session import StreamLost, StreamPaces, StreamSession

REFUSED = 403


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the stream was lost, and how long to leave it alone for that, at least."""

    why: str
    rest_s: float = 0.0


class SpotPrices:
    """Implements ports.PriceStream."""

    def __init__(
        self,
        url: str,
        *,
        clock: ExchangeClock,
        ban: Ban,
        paces: StreamPaces | None = None,
        chance: random.Random | None = None,
        source_address: str | None = None,
    ) -> None:
        self._url = url
        self._source = source_address
        self._ban = ban
        self._paces = paces or StreamPaces()
        self._chance = chance or random.Random()  # noqa: S311 - jitter, not secrecy
        self._latest = LatestPrices(clock)
        self._news = asyncio.Event()
        self._asked = asyncio.Event()
        self._failures = 0
        self._why_lost: str | None = None

    @property
    def url(self) -> str:
        return self._url

    @property
    def prices(self) -> Mapping[str, Decimal]:
        """USD per coin, of now; none but that of USDT while the stream is lost."""
        return self._latest.prices

    @property
    def why_lost(self) -> str | None:
        """What is wrong with it; None: nothing, and nothing has been for a while."""
        return self._why_lost

    def follow(self, coins: Collection[str]) -> None:
        """Replaces what was followed before."""
        if frozenset(coins) - {"USDT"} != self._latest.coins:
            self._latest.follow(coins)
            self._asked.set()

    async def moved(self) -> frozenset[str]:
        """Waits for news; the coins whose price changed: none where the stream was lost, or is back."""
        await self._news.wait()
        self._news.clear()
        return self._latest.moved()

    async def run(self) -> None:
        """Until it is cancelled."""
        async with self._http() as http:
            while True:
                while not self._latest.coins:
                    await self._asked.wait()
                    self._asked.clear()
                failure = await self._listen(http)
                self._latest.forget()
                if failure is not None:
                    self._why_lost = failure.why
                    self._news.set()
                    await asyncio.sleep(self._wait_s(failure))

    async def _listen(self, http: aiohttp.ClientSession) -> Failure | None:
        """One connection, from its making to its end. None where there is nothing more to follow."""
        if self._ban.remaining_s > 0:
            return Failure("the exchange has banned this address", self._ban.remaining_s)
        try:
            async with asyncio.timeout(self._paces.connect_s):
                socket = await http.ws_connect(
                    self._url,
                    timeout=aiohttp.ClientWSTimeout(ws_close=self._paces.close_s),
                    max_msg_size=self._paces.largest,
                )
            async with socket:
                session = StreamSession(socket, self._latest, self._paces, self._news, self._asked)
                await session.run(steady=self._is_steady)
        except StreamLost as lost:
            return Failure(str(lost))
        except aiohttp.WSServerHandshakeError as exc:
            return Failure(f"it answers HTTP {exc.status}", BAN_S if exc.status == REFUSED else 0.0)
        except Exception as exc:  # noqa: BLE001 - whatever it is: prices are a hint
            words = MEND if is_lost(exc, self._source) else brief(exc) or "no answer in time"
            return Failure(f"{type(exc).__name__}: {words}")
        return None

    def _is_steady(self) -> None:
        self._failures = 0
        if self._why_lost is not None:
            self._why_lost = None
            self._news.set()

    def _wait_s(self, failure: Failure) -> float:
        """Twice as long each time, up to a bound, and never at the same moment as everybody else."""
        backoff_s = min(self._paces.first_wait_s * 2.0**self._failures, self._paces.longest_wait_s)
        self._failures = min(self._failures + 1, 16)
        return max(failure.rest_s, backoff_s * self._chance.uniform(0.5, 1.0))

    def _http(self) -> aiohttp.ClientSession:
        tracing = aiohttp.TraceConfig()
        tracing.on_request_redirect.append(_refuse_redirect)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(local_addr=local_address(self._source)),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._paces.connect_s),
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[tracing],
            headers={"User-Agent": f"ltv-guard/{__version__}"},
        )


async def _refuse_redirect(
    _: aiohttp.ClientSession, __: SimpleNamespace, params: aiohttp.TraceRequestRedirectParams
) -> None:
    """No host but the configured one is spoken to."""
    raise StreamLost(f"it answers with a redirect (HTTP {params.response.status})")
