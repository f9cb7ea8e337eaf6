"""Who is asked for the exchange's time: v5/market/time, or while that fails the frame of another answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ltv_guard.adapters.bybit.answers import Answer, TransientError
from ltv_guard.adapters.bybit.envelope_time import time_of
from ltv_guard.adapters.bybit.fields import MalformedPayload, Row, whole
from ltv_guard.core.model.errors import ExchangeUnavailable

NS_A_MS = 1_000_000
TIME = "/v5/market/time"
STAND_IN = "/v5/market/tickers"  # every answer carries its time; this one is public and short
QUERIES = {TIME: "", STAND_IN: "category=spot&symbol=BTCUSDT"}
REST_OF_A_MEASUREMENT = 4  # so many samples follow one that failed; then `TIME` is tried again

Ask = Callable[[str, str], Awaitable[tuple[Row, Answer]]]


@dataclass(slots=True)
class ServerTime:
    """Mutable, owned by one client. While its clock can't be measured nothing is sent: so there are two."""

    _path: str = TIME
    _left: int = 0

    async def ask(self, ask: Ask) -> int:
        """In ms. One that fails is not the next to be asked. Raises ExchangeUnavailable, and as `ask`."""
        path = self._path
        try:
            result, answer = await ask(path, QUERIES[path])
            found = _time_nano(result) if path == TIME else _time_of_frame(answer)
        except ExchangeUnavailable:
            self._path, self._left = STAND_IN if path == TIME else TIME, REST_OF_A_MEASUREMENT
            raise
        self._left -= 1
        if self._left <= 0:
            self._path = TIME
        return found


def _time_nano(result: Row) -> int:
    try:
        return whole(result, "timeNano") // NS_A_MS
    except MalformedPayload as exc:
        raise TransientError(f"{TIME}: {exc}") from exc


def _time_of_frame(answer: Answer) -> int:
    found = time_of(answer.body)
    if found is None:
        raise TransientError(f"{STAND_IN}: it does not tell its time")
    return found
