"""The fingerprint: unlike every other amount of the loan, and cheap."""

from decimal import Decimal

import pytest
from core_builders import D, Number
from hypothesis import given
from hypothesis import strategies as st

from ltv_guard.core.amounts.fingerprint import (
    BLOCKS,
    TOLERABLE,
    digits_for,
    has_fingerprint,
    most_above,
    with_fingerprint,
)

ENDLESS = Decimal("Infinity")


def fingerprinted(
    amount: Number,
    *,
    accuracy: int = 8,
    reference: Number = "1",
    ceiling: Number = ENDLESS,
    taken: tuple[Number, ...] = (),
    seed: int = 0,
    upward: bool = True,
) -> Decimal | None:
    return with_fingerprint(
        D(amount),
        accuracy=accuracy,
        reference=D(reference),
        ceiling=D(ceiling),
        taken={D(value) for value in taken},
        seed=seed,
        upward=upward,
    )


@pytest.mark.parametrize(
    ("accuracy", "reference", "digits"),
    [
        (8, "1", 3),
        (8, "0.05", 3),  # 0.00001 of 0.05 is just tolerable
        (8, "0.049", 2),
        (8, "0.005", 2),
        (8, "0.0005", 1),
        (8, "0.00049", 0),
        (2, "500", 1),
        (2, "499", 0),
        (0, "100", 0),
        (0, "50000000", 3),
        (18, "0.000001", 3),
    ],
)
def test_a_fingerprint_takes_the_last_digits_that_the_loan_can_spare(
    accuracy: int, reference: str, digits: int
) -> None:
    assert digits_for(accuracy, D(reference)) == digits


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ({"amount": "0.154"}, "0.15400001"),
        ({"amount": "0.154", "seed": 136}, "0.15400137"),
        ({"amount": "0.154", "seed": 998}, "0.15400999"),
        ({"amount": "0.154", "seed": 999}, "0.15400001"),  # the seed goes round
        ({"amount": "0.15400001"}, "0.15401001"),  # never below what is needed
        ({"amount": "0.154", "taken": ("0.15400001", "0.15400002")}, "0.15400003"),
        ({"amount": "0.154", "upward": False}, "0.15399001"),
        ({"amount": "0.154", "upward": False, "seed": 998}, "0.15399999"),
        ({"amount": "0.1540095", "upward": False}, "0.15400001"),
        ({"amount": "0.154", "ceiling": "0.154"}, "0.15399001"),  # capped: down, not over the cap
        ({"amount": "0.154", "ceiling": "0.15400005", "seed": 500}, "0.15400001"),
        ({"amount": "0.3", "ceiling": "0.154"}, "0.15399001"),
        ({"amount": "0.00000001", "reference": "0.0000001"}, "0.00000001"),
        ({"amount": "0.00000001", "reference": "1", "upward": False}, "0.00000001"),
        ({"amount": "0", "upward": False}, None),
        ({"amount": "-1", "upward": False}, None),
        ({"amount": "1", "ceiling": "0"}, None),
    ],
    ids=str,
)
def test_fingerprints_by_hand(case: dict[str, object], expected: str | None) -> None:
    assert fingerprinted(**case) == (None if expected is None else D(expected))  # type: ignore[arg-type]


def test_a_coarse_coin_is_added_to_within_one_step() -> None:
    """16 of 100 coins are needed; a fingerprint of one digit would make 21 to 29 of them."""
    assert fingerprinted("16", accuracy=0, reference="100") == D(16)
    assert fingerprinted("16", accuracy=0, reference="100", taken=(16,)) == D(17)
    assert fingerprinted("16", accuracy=0, reference="100", ceiling="16", taken=(16,)) == D(15)


def test_a_coarse_coin_is_released_within_one_step() -> None:
    assert fingerprinted("39", accuracy=0, reference="100", upward=False) == D(39)
    assert fingerprinted("39", accuracy=0, reference="100", upward=False, taken=(39,)) == D(38)


def test_where_a_whole_run_of_fingerprints_is_taken_the_next_one_serves() -> None:
    run = tuple(D("0.0154") + D(n).scaleb(-8) for n in range(-10, 10))
    assert fingerprinted("0.0154", reference="0.0005", taken=run, seed=3) == D("0.01540014")
    assert fingerprinted("0.0154", reference="0.0005", taken=run, seed=3, ceiling="0.0154") == D("0.01539984")


@given(st.integers(0, 18), st.integers(1, 10**12), st.integers(1, 10**12), st.integers(0, 2**64))
def test_an_upward_fingerprint_stays_within_the_room_that_is_set_aside_for_it(
    accuracy: int, steps: int, reference_steps: int, seed: int
) -> None:
    step = D(1).scaleb(-accuracy)
    amount, reference = steps * step, reference_steps * step
    room = most_above(accuracy, reference)
    found = with_fingerprint(
        amount,
        accuracy=accuracy,
        reference=reference,
        ceiling=amount + room,
        taken=(),
        seed=seed,
        upward=True,
    )
    assert found is not None
    assert found >= amount
    assert room <= max(2 * reference * TOLERABLE, 2 * step)


def test_with_every_fingerprint_taken_there_is_none() -> None:
    near = tuple(D(n) for n in range(50))
    assert fingerprinted("16", accuracy=0, reference="100", taken=near) is None
    assert fingerprinted("16", accuracy=0, reference="100", taken=near, upward=False) is None


CASES = {
    "steps": st.integers(1, 10**12),
    "accuracy": st.integers(0, 18),
    "of": st.decimals("0.002", "3", places=3),
    "seed": st.integers(0, 2**64),
    "upward": st.booleans(),
    "room": st.one_of(st.none(), st.decimals("0.5", "1.01", places=5)),
    "taken": st.sets(st.integers(-30, 30), max_size=20),
}


@given(**CASES)  # type: ignore[arg-type]
def test_a_fingerprint_is_free_within_the_ceiling_on_the_step_and_cheap(
    steps: int,
    accuracy: int,
    of: Decimal,
    seed: int,
    upward: bool,  # noqa: FBT001 - hypothesis hands it over by name
    room: Decimal | None,
    taken: set[int],
) -> None:
    step = D(1).scaleb(-accuracy)
    amount = D(steps) * step
    reference = amount / of
    ceiling = ENDLESS if room is None else amount * room
    used = {amount + n * step for n in taken}
    found = with_fingerprint(
        amount,
        accuracy=accuracy,
        reference=reference,
        ceiling=ceiling,
        taken=used,
        seed=seed,
        upward=upward,
    )
    if found is None:
        # Only where the coin is coarse, or so little is wanted that nothing free lies below it.
        assert used or ceiling < step
        return
    assert 0 < found <= ceiling
    assert found % step == 0
    assert found not in used
    assert has_fingerprint(found, reference) == (digits_for(accuracy, reference) > 0)
    wanted = min(amount, ceiling)
    tolerated = max((BLOCKS + 1) * reference * TOLERABLE, BLOCKS * step)
    if found < wanted:
        assert wanted - found <= tolerated
    else:
        assert upward or found == wanted
        assert found - wanted <= tolerated
