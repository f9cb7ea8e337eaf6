"""How often prices may have an account looked at."""

from core_builders import key
from hypothesis import given
from hypothesis import strategies as st

from ltv_guard.core.watch.wake_limit import A_LOAN_MS, AT_ONCE, SPACING_MS, WakeLimit

ONE, OTHER = key("1"), key("2")


def test_who_crosses_is_due_at_once_and_a_moment_later() -> None:
    limit = WakeLimit()
    limit.ask([ONE])

    assert limit.due(0) == {ONE}
    assert limit.due(1) == frozenset()
    limit.ask([ONE])
    assert limit.due(A_LOAN_MS - 1) == frozenset()
    assert limit.due(A_LOAN_MS) == {ONE}


def test_another_loan_waits_for_nobody() -> None:
    limit = WakeLimit()
    limit.ask([ONE])
    limit.due(0)
    limit.ask([ONE, OTHER])

    assert limit.due(10) == {OTHER}


def test_a_read_of_all_answers_all_that_waits() -> None:
    limit = WakeLimit()
    limit.ask([ONE])
    limit.looked()

    assert limit.due(0) == frozenset()


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 50)), min_size=1, max_size=200))
def test_whatever_prices_do_an_account_is_looked_at_a_few_times_and_then_once_a_second(
    steps: list[tuple[int, int]],
) -> None:
    limit, now_ms, looks = WakeLimit(), 0, 0
    seen: dict[object, int] = {}
    for passed_ms, number in steps:
        now_ms += passed_ms
        limit.ask([key(str(number))])
        due = limit.due(now_ms)
        looks += bool(due)
        for item in due:
            assert now_ms - seen.get(item, -A_LOAN_MS) >= A_LOAN_MS
            seen[item] = now_ms
    assert looks <= AT_ONCE + now_ms / SPACING_MS
