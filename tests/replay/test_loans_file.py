"""The loans of a replay: what the file may say, and what is said where it can't be used."""

from decimal import Decimal
from pathlib import Path

import pytest

from ltv_guard.adapters.settings.errors import ConfigError
from ltv_guard.core.model.loans import Product
from ltv_guard.replay.loans_file import read_loans

D = Decimal
EXAMPLE = Path(__file__).parents[2] / "config" / "replay" / "loans.yaml"
ORDER = "{collateral_coin: btc, collateral_amount: 1, loan_coin: USDT, debt: 36000"


def read(folder: Path, text: str) -> object:
    file = folder / "loans.yaml"
    file.write_text(text)
    return read_loans(file)


def test_the_example_that_ships_can_be_read() -> None:
    order, pool = read_loans(EXAMPLE)
    assert (order.key.product, order.start_ltv) == (Product.LEGACY, D("0.60"))
    assert pool.collateral == {"BTC": D("0.5"), "ETH": D(8)}
    assert pool.debts == {"USDT": D(20_000), "USDC": D(5_000)}
    assert [tier.ratio for tier in pool.tiers["BTC"]] == [D("0.95"), D("0.9")]
    assert (pool.margin_call_ltv, pool.liquidation_ltv) == (D("0.85"), D("0.92"))


def test_an_order_may_say_all_that_there_is(tmp_path: Path) -> None:
    text = f"loans: [{ORDER}, expires_at: 2020-03-12T10:00, hourly_rate: 0.00001, accuracy: {{BTC: 6}}}}]"
    (order,) = read(tmp_path, text)  # type: ignore[misc]
    assert order.key.loan_id == "1"
    assert order.expires_at_ms == 1_584_007_200_000
    assert order.accuracy_of("BTC") == 6


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must hold a list `loans`"),
        ("loans: []", "must hold a list `loans`"),
        ("loans: [1]", "loans.0 must hold keys and values"),
        (f"loans: [{ORDER}, wallet: 1}}]", "loans.0.wallet is no key of a legacy order"),
        (
            f"loans: [{ORDER}, start_ltv: 0.6}}]",
            "loans.0.debt or start_ltv must say what is owed: one of the two",
        ),
        (
            "loans: [{collateral_coin: BTC, collateral_amount: 1, loan_coin: USDT}]",
            "loans.0.debt or start_ltv",
        ),
        (
            "loans: [{collateral_coin: BTC, collateral_amount: 0, loan_coin: USDT, debt: 1}]",
            "more than 0 coins",
        ),
        ("loans: [{collateral_amount: 1, loan_coin: USDT, debt: 1}]", "loans.0.collateral_coin is missing"),
        (f"loans: [{ORDER}, margin_call_ltv: 0.96}}]", "below liquidation_ltv"),
        (
            f"loans: [{ORDER}, expires_at: soon}}]",
            "loans.0.expires_at must be a time in UTC, such as 2020-03-12",
        ),
        (f"loans: [{ORDER}}}, {ORDER}, loan_id: 1}}]", "holds the loan 1 twice"),
        ("loans: [{product: margin}]", "loans.0.product must be crypto_loan_legacy"),
        (
            "loans: [{product: crypto_loan, debts: {USDT: 1}}]",
            "loans.0.collateral must name at least one coin",
        ),
        (
            "loans: [{product: crypto_loan, collateral: {BTC: 1}, debts: {USD: 1}, tiers: {BTC: [{}]}}]",
            "loans.0.tiers.BTC must be a number",
        ),
        (
            "loans: [{product: crypto_loan, collateral: {BTC: one}, debts: {USDT: 1}}]",
            "loans.0.collateral.BTC must",
        ),
    ],
)
def test_what_can_t_be_used_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)
    assert str(error.value).startswith(str(tmp_path / "loans.yaml"))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the file of loans .* does not exist"):
        read_loans(tmp_path / "none.yaml")
