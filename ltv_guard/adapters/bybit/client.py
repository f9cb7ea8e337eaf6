"""Requests as one API key: paced, signed, banned where need be; reads are tried again, writes never."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from ltv_guard.adapters.bybit.answers import (
    BANNED,
    Answer,
    ClockRefused,
    Limited,
    TransientError,
    WriteLimited,
    take_read,
    take_write,
)
from ltv_guard.adapters.bybit.budget import Budget
from ltv_guard.adapters.bybit.clock import Measurement
from ltv_guard.adapters.bybit.envelope_time import apart_ms, time_of
from ltv_guard.adapters.bybit.fields import Row
from ltv_guard.adapters.bybit.host import Host
from ltv_guard.adapters.bybit.limits import RequestLimits
from ltv_guard.adapters.bybit.oddities import Oddities
from ltv_guard.adapters.bybit.retrying import trying_again
from ltv_guard.adapters.bybit.server_time import ServerTime
from ltv_guard.adapters.bybit.signatures import Credentials, Signed
from ltv_guard.adapters.bybit.transport import Transport
from ltv_guard.adapters.bybit.turns import NoRoom, Turns
from ltv_guard.adapters.bybit.wire import query_string
from ltv_guard.core.model.errors import (
    ExchangeBanned,
    ExchangeUnavailable,
    Remedy,
    WriteNotSent,
    WriteOutcomeUnknown,
    WriteRejected,
)
from ltv_guard.core.model.loans import Moment
from ltv_guard.core.model.timing import TIMING

MS = 1000
TIMEOUTS_OF_A_WHOLE_READ = 4  # all pages of a list together: a few of them may be slow, not all


class BybitClient:
    """One API key on one host. `limits` are those of the key's user."""

    def __init__(
        self,
        host: Host,
        credentials: Credentials,
        *,
        limits: RequestLimits | None = None,
        recv_window_ms: int = TIMING.recv_window_ms,
        request_timeout_s: float = TIMING.request_timeout_ms / 1000,
    ) -> None:
        self.clock = host.clock
        self.ban = host.ban
        self.shared = host.shared
        self.timing = host.timing
        self.host = host
        self.oddities = Oddities()
        self._credentials = credentials
        limits = limits or RequestLimits()
        self.turns = Turns(credentials.api_key, limits, host.address, host.clock.monotonic_ms)
        self._recv_window_ms = recv_window_ms
        self._server_time = ServerTime()
        self._transport = Transport(
            host.rest_url, request_timeout_s=request_timeout_s, source_address=host.source_address
        )
        # No further try begins after this: the whole stays within a poll interval or so.
        self._tries_within_s = request_timeout_s * 1.5
        self._whole_read_s = request_timeout_s * TIMEOUTS_OF_A_WHOLE_READ

    @property
    def transport(self) -> Transport:
        """For what it counts."""
        return self._transport

    def budget(self, path: str) -> Budget:
        """What a read of all pages of `path` may cost, from now on."""
        return Budget(path, lambda: self.clock.now().monotonic_ms, self._whole_read_s)

    async def get(
        self,
        path: str,
        params: Mapping[str, str] | None = None,
        *,
        signed: bool = True,
        urgent: bool = False,
        budget: Budget | None = None,
    ) -> Row:
        """The `result` of a GET, after a few tries if need be. Raises ExchangeUnavailable, NeedsHuman.

        `urgent`: it goes before others. `budget`: that of the whole of which this is a part.
        """
        query = query_string(params or {})
        return await trying_again(
            lambda: self._get_once(path, query, signed=signed, urgent=urgent, budget=budget),
            within_s=self._tries_within_s,
            sleep=self.clock.sleep,
        )

    async def _get_once(
        self, path: str, query: str, *, signed: bool, urgent: bool, budget: Budget | None
    ) -> Row:
        self.ban.check()
        if self.clock.is_doubted:
            await self.clock.ensure_trusted(self.server_time)
        async with self.turns.to_read(path, urgent=urgent):
            self.ban.check()
            headers = self._sign(query.encode()).headers if signed else {}
            sent, judged = self.clock.now(), self.clock.is_trusted
            largest = None if budget is None else budget.bytes_left + 1
            answer = await self._transport.get(path, query, headers, largest=largest)
        if budget is not None:
            budget.spend(len(answer.body), sent)
        if judged and (why := self._why_of_another_time(answer, sent)) is not None:
            raise TransientError(f"{path}: {why}")
        return self._result(path, answer)

    def _why_of_another_time(self, answer: Answer, sent: Moment) -> str | None:
        """What is wrong with an answer that was made at another time; None: it was not.

        A cache or a proxy gave that of an earlier request; or the exchange's clock was set, and is measured
        again. One that is measured is not asked for its time: it could not be set right otherwise.
        """
        apart = apart_ms(answer.body, sent, self.clock.now())
        if apart == 0:
            return None
        answer.hang_up()
        self.clock.doubt_unless_just_measured()
        when = f"{abs(apart) / MS:.1f} s {'before the request' if apart < 0 else 'ahead of the exchange'}"
        return f"the answer was made {when}: it belongs to another one"

    async def sign(self, path: str, body: bytes) -> Signed:
        """Waits for the turn of a POST to `path`, then signs it with the time of that moment.

        Raises ExchangeUnavailable while the host is banned or its clock can't be measured.
        """
        self.ban.check()
        # Before the turn: measuring takes time, and would bring this write closer to the next one.
        await self.clock.ensure_trusted(self.server_time)
        await self.turns.to_write(path)
        await self.clock.ensure_trusted(self.server_time)
        self.ban.check()
        return self._sign(body)

    async def send(
        self, path: str, body: bytes, headers: Mapping[str, str], id_field: str | None = "adjustId"
    ) -> str | None:
        """Sends a signed POST once and returns the id that it is answered with. Never tries again.

        `id_field` None: there is none to come back.

        Raises WriteNotSent, WriteRejected, WriteOutcomeUnknown.
        """
        try:
            self.ban.check()
        except ExchangeBanned as exc:
            raise WriteNotSent(f"{path}: {exc}") from exc
        sent, judged = self.clock.now(), self.clock.is_trusted
        try:
            with self.turns.writing(path) as write:
                answer = await self._transport.post(path, body, headers)
                write.made_at_ms = time_of(answer.body)
        except NoRoom:  # it would wait beyond its receive window, perhaps
            raise WriteNotSent(f"{path}: the limit of this address was reached after it was signed") from None
        self._heed(path, answer)
        if judged and (why := self._why_of_another_time(answer, sent)) is not None:
            raise WriteOutcomeUnknown(f"{path}: {why}")
        try:
            return take_write(answer, path, id_field, hides=self._credentials.api_key)
        except WriteLimited as exc:
            self._slow_down(path, answer, whole_address=exc.whole_address)
            raise
        except WriteRejected as exc:
            if exc.remedy is Remedy.CLOCK:
                self.clock.doubt()
            raise

    async def server_time(self) -> int:
        """The exchange's time in ms. One try. Raises ExchangeUnavailable, NeedsHuman."""
        self.ban.check()
        return await self._server_time.ask(self._ask_at_once)

    async def _ask_at_once(self, path: str, query: str) -> tuple[Row, Answer]:
        """Not paced: its round trip is what counts."""
        try:
            with self.turns.at_once():
                answer = await self._transport.get(path, query, {})
        except NoRoom:  # waiting here would be taken for a long round trip
            why = "the limit of this address was reached: asked again later"
            raise ExchangeUnavailable(f"{path}: {why}") from None
        return self._result(path, answer), answer

    async def measure_clock(self) -> Measurement:
        """Measures the exchange's clock, now. Raises ExchangeUnavailable."""
        return await self.clock.measure(self.server_time)

    def keep_ready(self, until_ms: int) -> None:
        """Near a trigger: until then its requests go first, and a connection waits for the next write."""
        self.turns.keep_ready(until_ms)
        left_s = (until_ms - self.clock.now().monotonic_ms) / MS
        self._transport.keep_warm(left_s, self.host.may_open)

    async def close(self) -> None:
        """Closes its connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _sign(self, payload: bytes) -> Signed:
        signed_at_ms = self.clock.now().exchange_ms
        headers = self._credentials.headers(
            timestamp_ms=signed_at_ms, recv_window_ms=self._recv_window_ms, payload=payload
        )
        return Signed(headers=headers, signed_at_ms=signed_at_ms, recv_window_ms=self._recv_window_ms)

    def _result(self, path: str, answer: Answer) -> Row:
        """The result of a read, after the answer has been obeyed."""
        self._heed(path, answer)
        if answer.status == BANNED:
            self.ban.check()
        try:
            return take_read(answer, path, hides=self._credentials.api_key)
        except Limited as exc:
            self._slow_down(path, answer, whole_address=exc.whole_address)
            raise
        except ClockRefused:
            self.clock.doubt()
            raise

    def _slow_down(self, path: str, answer: Answer, *, whole_address: bool) -> None:
        now_ms = self.clock.now().exchange_ms
        self.turns.refuse(path, answer.headers, now_ms, whole_address=whole_address)

    def _heed(self, path: str, answer: Answer) -> None:
        """What any answer may ask of us: to stop, or to slow down."""
        if answer.status == BANNED:
            self.ban.begin()
        self.turns.observe(path, answer.headers, self.clock.now().exchange_ms)
