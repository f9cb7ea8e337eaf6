"""Rates and bans, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from ltv_guard.adapters.bybit import Ban, RequestLimits
from ltv_guard.adapters.bybit.windows import Priority
from ltv_guard.core.model.errors import ExchangeBanned

ADJUST = "/v5/crypto-loan/adjust-ltv"
ORDERS = "/v5/crypto-loan/ongoing-orders"
NOW_MS = 1_700_000_000_000

Now = Callable[[], float]
Run = Callable[[Callable[[Now], Coroutine[Any, Any, list[float]]]], list[float]]


async def turn(limits: RequestLimits, path: str) -> None:
    await limits.enter(path, Priority.WRITE)
    limits.leave(path)


def most_in_a_second(times: Sequence[float]) -> int:
    return max(sum(1 for other in times if start <= other <= start + 1) for start in times)


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        (ADJUST, 1),
        ("/v5/crypto-loan-common/adjust-ltv", 1),
        ("/v5/crypto-loan/repay", 1),
        ("/v5/crypto-loan-flexible/repay", 1),
        ("/v5/asset/transfer/inter-transfer", 1),
        ("/v5/asset/transfer/query-inter-transfer-list", 5),
        (ORDERS, 5),
        ("/v5/crypto-loan/repayment-history", 5),
        ("/v5/crypto-loan-flexible/repayment-history", 5),
        ("/v5/asset/transfer/query-account-coins-balance", 5),
    ],
)
def test_no_second_ever_holds_more_than_the_limit(run_virtually: Run, path: str, limit: int) -> None:
    async def main(now: Now) -> list[float]:
        limits = RequestLimits(monotonic=now)
        times: list[float] = []

        async def one() -> None:
            await turn(limits, path)
            times.append(now())

        await asyncio.gather(*(one() for _ in range(20)))
        await asyncio.sleep(3)
        await asyncio.gather(*(one() for _ in range(20)))
        return times

    assert most_in_a_second(run_virtually(main)) == limit


def test_no_minute_ever_holds_more_reads_of_the_transfers_than_sixty(run_virtually: Run) -> None:
    async def main(now: Now) -> list[float]:
        limits = RequestLimits(monotonic=now)
        times = []
        for _ in range(200):
            await turn(limits, "/v5/asset/transfer/query-inter-transfer-list")
            times.append(now())
        return times

    times = run_virtually(main)
    assert max(sum(1 for other in times if start <= other <= start + 60) for start in times) <= 60
    assert times[4] - times[0] < 0.001  # a need is looked up at once
    assert times[100] - times[50] > 50


def test_a_repayment_does_not_wait_for_an_adjustments_turn(run_virtually: Run) -> None:
    async def main(now: Now) -> list[float]:
        limits = RequestLimits(monotonic=now)
        started = now()
        for path in (ADJUST, "/v5/crypto-loan/repay", "/v5/asset/transfer/inter-transfer"):
            await turn(limits, path)
        return [now() - started]

    assert run_virtually(main)[0] < 0.001


def test_turns_come_in_the_order_they_were_asked_for(run_virtually: Run) -> None:
    async def main(now: Now) -> list[float]:
        limits = RequestLimits(monotonic=now)
        order: list[float] = []

        async def one(number: int) -> None:
            await turn(limits, ADJUST)
            order.append(number)

        await asyncio.gather(*(one(n) for n in range(10)))
        return order

    assert run_virtually(main) == list(range(10))


def test_reads_never_starve_a_write(run_virtually: Run) -> None:
    async def main(now: Now) -> list[float]:
        limits = RequestLimits(monotonic=now)
        limits.refuse(ORDERS, {}, NOW_MS)
        reads = [asyncio.create_task(turn(limits, ORDERS)) for _ in range(100)]
        started = now()
        await turn(limits, ADJUST)
        waited = now() - started
        await asyncio.gather(*reads)
        return [waited]

    assert run_virtually(main)[0] < 0.001


def waited(run: Run, obey: Callable[[RequestLimits], None]) -> float:
    async def main(now: Now) -> list[float]:
        limits = RequestLimits(monotonic=now)
        obey(limits)
        started = now()
        await turn(limits, ADJUST)
        return [now() - started]

    return run(main)[0]


@pytest.mark.parametrize(
    ("reset", "expected"),
    [
        (str(NOW_MS + 700), 0.7),
        (str(NOW_MS + 60_000), 5.0),
        (str(NOW_MS * 9), 5.0),
        (str(NOW_MS - 1), 1.0),
        (None, 1.0),
        ("", 1.0),
        ("soon", 1.0),
        ("-5", 1.0),
        ("9" * 400, 1.0),
        ("1e99", 1.0),
        ("\u0661", 1.0),
    ],
)
def test_a_refusal_waits_for_the_reset_but_never_long(
    run_virtually: Run, reset: str | None, expected: float
) -> None:
    headers = {} if reset is None else {"X-Bapi-Limit-Reset-Timestamp": reset}
    assert waited(run_virtually, lambda limits: limits.refuse(ADJUST, headers, NOW_MS)) == pytest.approx(
        expected, abs=1e-3
    )


@pytest.mark.parametrize(
    ("left", "reset", "expected"),
    [
        ("0", str(NOW_MS + 700), 0.7),
        ("1", str(NOW_MS + 700), 0),
        ("0", str(NOW_MS + 60_000), 0),
        ("0", str(NOW_MS - 5), 0),
        ("0", None, 0),
        ("0", "soon", 0),
        (None, str(NOW_MS + 700), 0),
    ],
)
def test_nothing_left_waits_for_the_reset_where_that_is_sane(
    run_virtually: Run, left: str | None, reset: str | None, expected: float
) -> None:
    pairs = {"X-Bapi-Limit-Status": left, "X-Bapi-Limit-Reset-Timestamp": reset}
    headers = {name: value for name, value in pairs.items() if value is not None}
    assert waited(run_virtually, lambda limits: limits.observe(ADJUST, headers, NOW_MS)) == pytest.approx(
        expected, abs=1e-3
    )


def test_a_hold_that_begins_while_others_queue_holds_them_too(run_virtually: Run) -> None:
    async def main(now: Now) -> list[float]:
        limits = RequestLimits(monotonic=now)
        times: list[float] = []

        async def one() -> None:
            await turn(limits, ADJUST)
            times.append(now() - started)

        started = now()
        queue = [asyncio.create_task(one()) for _ in range(3)]
        await asyncio.sleep(0.5)
        limits.refuse(ADJUST, {"X-Bapi-Limit-Reset-Timestamp": str(NOW_MS + 4000)}, NOW_MS)
        await asyncio.gather(*queue)
        return times

    first, second, third = run_virtually(main)
    assert first < 0.001
    assert second >= 4.5
    assert third >= second + 1


def test_a_cancelled_turn_does_not_block_the_next(run_virtually: Run) -> None:
    async def main(now: Now) -> list[float]:
        limits = RequestLimits(monotonic=now)
        await turn(limits, ADJUST)
        task = asyncio.create_task(turn(limits, ADJUST))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])
        await turn(limits, ADJUST)
        return []

    run_virtually(main)


class Monotonic:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_ban_lasts_ten_minutes_and_never_longer() -> None:
    time, told = Monotonic(), []
    ban = Ban("h", monotonic=time, on_ban=lambda host, seconds: told.append((host, seconds)))
    ban.check()
    ban.begin()
    time.now_s += 300
    ban.begin()  # an answer that was under way
    with pytest.raises(ExchangeBanned, match="h answered HTTP 403") as caught:
        ban.check()
    assert caught.value.retry_in_s == 300
    said = str(caught.value)
    time.now_s += 1
    with pytest.raises(ExchangeBanned) as again:
        ban.check()
    assert str(again.value) == said  # or each cycle of ten minutes would tell it anew
    time.now_s += 299
    ban.check()
    assert told == [("h", 600.0)]


@pytest.mark.parametrize(("remembered", "expected"), [(200, 200), (1e9, 600), (-5, 0), (0, 0)])
def test_a_ban_of_an_earlier_process_goes_on_but_never_for_longer(remembered: float, expected: float) -> None:
    told: list[object] = []
    ban = Ban("h", remaining_s=remembered, monotonic=Monotonic(), on_ban=lambda *args: told.append(args))
    assert ban.remaining_s == expected
    assert told == []


def test_a_ban_that_is_over_can_begin_again() -> None:
    time = Monotonic()
    ban = Ban("h", remaining_s=600, monotonic=time)
    time.now_s += 600
    ban.begin()
    assert ban.remaining_s == 600
