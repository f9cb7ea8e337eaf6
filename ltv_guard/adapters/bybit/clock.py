"""The exchange's clock: measured against its server time, and carried forward by the monotonic one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from statistics import median

from ltv_guard.core.model.errors import ExchangeBanned, ExchangeUnavailable
from ltv_guard.core.model.loans import Moment

SAMPLES = 5
LEAST_AGREEING = 3
LEAP_MS = 1000  # a larger change of the offset is believed only if the samples agree on it
JUST_MEASURED_MS = 2000  # so soon after it was measured a clock is not measured for an odd answer
SLACK_MS = 250  # by how much honest samples may differ beyond what their round trips explain

DISAGREE = "the exchange's clock could not be measured: its answers disagree"

Fetch = Callable[[], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer: exchange time minus monotonic time, in ms, known to within half a round trip."""

    offset_ms: float
    round_trip_ms: float

    def agrees_with(self, offset_ms: float) -> bool:
        """Whether this offset (ms) is possible, given the sample's round trip."""
        return abs(self.offset_ms - offset_ms) <= self.round_trip_ms / 2 + SLACK_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What a measurement came to. `moved_ms` is how far it differs from the offset before, 0 at the first."""

    believed: bool
    moved_ms: int
    round_trip_ms: int


class ExchangeClock:
    """Implements ports.Clock. Before the first measurement it is the wall clock; after it, never again.

    While the machine is suspended the monotonic clock may stand still: the exchange then answers 10002,
    which casts doubt on the offset until it is measured again.
    """

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._monotonic = monotonic
        self._wall = wall
        self._sleep = sleep
        self._offset_ms: float | None = None
        self._doubted = False
        self._measured_ms: float | None = None
        self._measuring = asyncio.Lock()
        self._failures = 0
        self._failure = ExchangeUnavailable(DISAGREE)

    def now(self) -> Moment:
        """This instant; before the first measurement by this machine's own clock."""
        monotonic_ms = self._monotonic() * 1000
        exchange_ms = self._wall() * 1000 if self._offset_ms is None else monotonic_ms + self._offset_ms
        return Moment(exchange_ms=int(exchange_ms), monotonic_ms=int(monotonic_ms))

    def monotonic_ms(self) -> float:
        """What `now` tells in whole ms, for what is measured in less."""
        return self._monotonic() * 1000

    async def sleep(self, seconds: float) -> None:
        """Returns after so many seconds of the monotonic clock."""
        await self._sleep(seconds)

    @property
    def is_trusted(self) -> bool:
        """Whether it was measured, and the exchange has not disagreed since."""
        return self._offset_ms is not None and not self._doubted

    @property
    def is_doubted(self) -> bool:
        """Whether the exchange has refused a timestamp since the last measurement."""
        return self._doubted

    @property
    def wall_skew_ms(self) -> int:
        """Exchange time minus this machine's wall clock; 0 before the first measurement."""
        return self.now().exchange_ms - int(self._wall() * 1000)

    def doubt(self) -> None:
        """The exchange refused a timestamp: measure before the next one is signed."""
        self._doubted = True

    def doubt_unless_just_measured(self) -> None:
        """An answer's time does not fit: either it is not what was asked for, or the clock was set."""
        now_ms = self._monotonic() * 1000
        if self._measured_ms is None or now_ms - self._measured_ms >= JUST_MEASURED_MS:
            self._doubted = True

    async def ensure_trusted(self, fetch: Fetch) -> None:
        """Measures if need be. Raises ExchangeUnavailable where that does not make it trustworthy.

        A clock that is trusted is waited for by nobody, though it is being measured again. Those who wait for
        a measurement share its failure: one after the other, they would all be too late.
        """
        if self.is_trusted:
            return
        asked = self._failures
        async with self._measuring:
            if not self.is_trusted and self._failures == asked:
                await self._measure(fetch)
            if not self.is_trusted:
                raise self._failure

    async def measure(self, fetch: Fetch) -> Measurement:
        """Asks for the server time (ms) several times and takes the quickest of the answers that agree.

        Raises ExchangeUnavailable where too few answers came.
        """
        async with self._measuring:
            return await self._measure(fetch)

    async def _measure(self, fetch: Fetch) -> Measurement:
        try:
            measurement = self._judge(await self._take_samples(fetch))
        except ExchangeUnavailable as error:
            self._fail(error)
            raise
        if not measurement.believed:
            self._fail(ExchangeUnavailable(DISAGREE))
        return measurement

    def _fail(self, error: ExchangeUnavailable) -> None:
        self._failures += 1
        self._failure = error

    def _judge(self, samples: Sequence[Sample]) -> Measurement:
        middle = median(sample.offset_ms for sample in samples)
        agreeing = [sample for sample in samples if sample.agrees_with(middle)]
        best = min(agreeing or samples, key=lambda sample: sample.round_trip_ms)
        moved_ms = 0.0 if self._offset_ms is None else best.offset_ms - self._offset_ms
        needed = LEAST_AGREEING if abs(moved_ms) <= LEAP_MS else max(LEAST_AGREEING, len(samples) - 1)
        believed = len(agreeing) >= needed
        if believed:
            self._offset_ms, self._doubted = best.offset_ms, False
            self._measured_ms = self._monotonic() * 1000
        return Measurement(believed=believed, moved_ms=int(moved_ms), round_trip_ms=int(best.round_trip_ms))

    async def _take_samples(self, fetch: Fetch) -> Sequence[Sample]:
        samples: list[Sample] = []
        failures = 0
        while len(samples) + failures < SAMPLES:
            try:
                samples.append(await self._sample(fetch))
            except ExchangeBanned:
                raise
            except ExchangeUnavailable:
                failures += 1
                if failures > SAMPLES - LEAST_AGREEING:
                    raise
        return samples

    async def _sample(self, fetch: Fetch) -> Sample:
        before = self._monotonic() * 1000
        exchange_ms = await fetch()
        after = self._monotonic() * 1000
        # Half a millisecond: the server's time is cut to whole ones.
        return Sample(exchange_ms + 0.5 - (before + after) / 2, after - before)
