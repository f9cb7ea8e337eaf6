"""Scenario files: exact, complete, and clear about what is wrong with them."""

import itertools
from decimal import Decimal
from pathlib import Path

import pytest

from ltv_guard.sandbox import ScenarioError, load_scenario, parse_scenario
from ltv_guard.sandbox.market import Market

SHIPPED = sorted((Path(__file__).parents[2] / "config" / "scenarios").glob("*.yaml"))

SMALL = """
name: small
market: {coins: {BTC: {path: [[1h30m, 50000.123456789012345678]]}}}
keys: [{key: k, secret: s, user: "1"}]
users: {"1": {funding: {BTC: 0.1}}}
"""


def test_numbers_in_yaml_stay_exact(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(SMALL)
    at, price = load_scenario(tmp_path / "s.yaml").market.coins["BTC"].path[0]
    assert (at, price) == (5400, Decimal("50000.123456789012345678"))


@pytest.mark.parametrize(
    ("change", "to", "complaint"),
    [
        ("name: small", "name: small\ncolour: red", "colour"),
        ("name: small", "name: small\nname: twice", "duplicate key 'name'"),
        ("BTC: 0.1", "BTC: -1", "users.1.funding.BTC"),
        ("BTC: 0.1", "BTC: .nan", "users.1.funding.BTC"),
        ('user: "1"', 'user: "2"', "unknown users: 2"),
        ("secret: s, ", "", "secret or rsa_public_key"),
        ("[[1h30m, 50000.123456789012345678]]", "[[2h, 1], [1h, 1]]", "follow one another"),
        ("users:", "faults: [{kind: slow, seconds: 1, endpoint: adujst}]\nusers:", "adujst"),
        ("users:", "faults: [{kind: slow, endpoint: adjust}]\nusers:", "slow needs seconds"),
        ("{funding: {BTC: 0.1}}", "{pool: {collateral: {DOGE: 1}}}", "no price for DOGE"),
        ("secret: s, ", "rsa_public_key: nonsense, ", "PEM"),
        ("users:", "coins: {BTC: {tiers: [{ratio: 0.9, min: 5, max: 5}]}}\nusers:", "above its min"),
        (SMALL, "[1, 2]", "scenario"),
        (SMALL, "{", "s.yaml"),
    ],
)
def test_a_wrong_file_is_refused_with_a_sentence(
    tmp_path: Path, change: str, to: str, complaint: str
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(SMALL.replace(change, to))
    with pytest.raises(ScenarioError, match=complaint):
        load_scenario(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"none\.yaml"):
        load_scenario(tmp_path / "none.yaml")


def test_a_document_from_elsewhere_is_validated_the_same_way() -> None:
    with pytest.raises(ScenarioError, match="market"):
        parse_scenario({"name": "x"})


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_scenario_loads_and_can_be_followed_by_a_guard(path: Path) -> None:
    scenario = load_scenario(path)
    assert scenario.name == path.stem
    assert {"100001", "100002"} <= scenario.users.keys()
    market = Market(scenario.market)
    market.start(Decimal(0))
    seconds = int(market.length_s / scenario.market.speed_up) + 1
    for coin in scenario.market.coins:
        prices = [market.price(coin, Decimal(at)) for at in range(seconds + 1)]
        steps = [abs(after / before - 1) for before, after in itertools.pairwise(prices)]
        assert max(steps) <= Decimal("0.062")


def test_the_keys_that_the_calm_scenario_explains_are_real(tmp_path: Path) -> None:
    calm = next(path for path in SHIPPED if path.stem == "calm").read_text()
    told = calm[calm.index("# clock_offset_ms") : calm.index("#\n# A key may")]
    path = tmp_path / "all.yaml"
    path.write_text(calm + told.replace("\n# ", "\n").removeprefix("# "))
    scenario = load_scenario(path)
    assert (scenario.overdue_grace, scenario.closed_collateral) == (172800, ["ETH"])
    assert [(fault.kind, fault.times) for fault in scenario.faults] == [("close_after", 2)]
