"""`ltv-guard replay`, from the command line: what it prints, and how it refuses what it can't use."""

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ltv_guard.cli.replay import command
from ltv_guard.replay.candles import HEADER

LOANS = """loans:
  - {collateral_coin: BTC, collateral_amount: 1, loan_coin: USDT, start_ltv: 0.60}
"""
CRASH = ("--synthetic", "fall=0.5,hours=36,seed=1")
POLICY = "policy: {add: {trigger_ltv: 0.70, target_ltv: 0.60}}\n"


@pytest.fixture
def loans(tmp_path: Path) -> Path:
    file = tmp_path / "loans.yaml"
    file.write_text(LOANS)
    return file


def replay(loans: Path, *words: str) -> Result:
    return CliRunner().invoke(command, ["--loans", str(loans), *words])


def tree(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def refusal(result: Result) -> str:
    assert result.exit_code == 2
    assert result.stderr.startswith("ltv-guard: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("ltv-guard: ").strip()


def test_a_crash_that_liquidates_the_twin_is_survived_and_told_in_a_table(loans: Path) -> None:
    result = replay(loans, "--wallet", "BTC=1.5", *CRASH, "--least-wallet")
    assert result.exit_code == 0
    for words in ("1 unguarded: liquidated", "added 0.15447001 BTC", "alive", "The least wallet"):
        assert words in result.output


def test_json_holds_what_another_needs_to_get_the_same(loans: Path) -> None:
    words = ("--wallet", "BTC=1.5", *CRASH, "--json", "--least-wallet")
    one, other = tree(replay(loans, *words)), tree(replay(loans, *words))
    assert one == other
    (loan,) = one["loans"]
    assert (loan["liquidated"], loan["twin_liquidated"]) == (False, True)
    assert loan["adds"] == len([event for event in loan["events"] if event["what"] == "add"]) == 4
    assert loan["added"] == {"BTC": "0.7862801"}
    assert one["wallet_left"] == {"BTC": "0.7137199"}  # 1.5 less what was added
    assert set(one["inputs"]) >= {"loans", "policy", "wallet", "prices", "seed", "latency_s", "versions"}
    assert 0.2 < float(one["least_wallet"]["BTC"]) < 0.4


@pytest.mark.slow
def test_the_least_wallet_is_enough_and_a_little_less_is_not(loans: Path) -> None:
    least = tree(replay(loans, *CRASH, "--json", "--least-wallet"))["least_wallet"]["BTC"]
    enough = tree(replay(loans, "--wallet", f"BTC={least}", *CRASH, "--json"))
    less = tree(replay(loans, "--wallet", f"BTC={float(least) * 0.998:.8f}", *CRASH, "--json"))
    assert [found["loans"][0]["liquidated"] for found in (enough, less)] == [False, True]


def test_the_policy_comes_from_the_configuration_whose_key_is_not_read(loans: Path) -> None:
    config = loans.with_name("config.yaml")
    config.write_text(POLICY + "accounts: {main: {api_key_file: nowhere, api_secret_file: nowhere}}\n")
    plain = tree(replay(loans, "--wallet", "BTC=1.5", *CRASH, "--json"))["loans"][0]
    tried = tree(replay(loans, "--wallet", "BTC=1.5", *CRASH, "--json", "-c", str(config)))["loans"][0]
    assert plain["events"][0]["ltv_before"] >= "0.75"
    assert "0.70" <= tried["events"][0]["ltv_before"] < "0.71"


def test_another_policy_is_compared_over_the_same_prices(loans: Path) -> None:
    other = loans.with_name("other.yaml")
    other.write_text(POLICY)
    words = ("--wallet", "BTC=1.5", *CRASH, "--compare", str(other))
    found = tree(replay(loans, *words, "--json"))
    own, compared = found["loans"][0], found["compare"]["loans"][0]
    assert own["worst_ltv"] >= "0.75" > compared["worst_ltv"] >= "0.70"
    assert "events" not in compared
    assert f"With {other} instead:" in replay(loans, *words).output.replace("\n", "")


def test_what_goes_wrong_is_told_with_the_inputs_and_who_stands_beside_it_in_a_table(loans: Path) -> None:
    short = ("--wallet", "BTC=1.5", "--synthetic", "fall=0.5,hours=2,seed=1")
    stress = ("--ban", "10m@worst", "--lost-answers", "0.5", "--platform-limit", "ETH", "--latency-s", "5")
    found = tree(replay(loans, *short, *stress, "--json"))
    assert found["inputs"]["lost_answers"] == "0.5"
    assert found["inputs"]["platform_limit"] == ["ETH"]
    begins, ends = (datetime.fromisoformat(at) for at in found["inputs"]["ban"])
    assert ends - begins == timedelta(minutes=10)
    assert [item["name"] for item in found["baselines"]][:2] == ["this policy", "nothing done"]
    assert found["baselines"][1]["liquidated"] == ["1"]
    shown = replay(loans, *short, *stress).output
    assert "Stress: ban 2020-01-01T" in shown
    assert "perfect foresight" in shown
    assert "ban" not in tree(replay(loans, *short, "--json"))["inputs"]


@pytest.mark.slow
def test_survival_and_frontier_are_told_and_need_a_wallet(loans: Path) -> None:
    words = ("--synthetic", "fall=0.4,hours=1,seed=1", "--survival", "--frontier")
    found = tree(replay(loans, "--wallet", "BTC=0.3", *words, "--json"))
    shares = [item["share"] for item in found["survival"]["shares"]]
    assert shares == sorted(shares)
    assert all(item["low"] <= item["share"] <= item["high"] for item in found["survival"]["shares"])
    assert found["frontier"]["configured"] in [
        {key: value for key, value in point.items() if key != "dominated"}
        for point in found["frontier"]["points"]
    ]
    shown = replay(loans, "--wallet", "BTC=0.3", *words).output
    assert "starts survived" in shown
    assert "no other beats these" in shown
    assert "say with --wallet what there is" in refusal(replay(loans, *words))


def test_of_several_accounts_one_has_to_be_named(loans: Path) -> None:
    config = loans.with_name("config.yaml")
    config.write_text("accounts: {one: {policy: {add: {trigger_ltv: 0.70}}}, two: {}}\n")
    asked = ("--wallet", "BTC=1.5", *CRASH, "--json", "-c", str(config))
    assert "has several accounts: say which with --account, one or two" in refusal(replay(loans, *asked))
    assert "has no account three" in refusal(replay(loans, *asked, "--account", "three"))
    found = tree(replay(loans, *asked, "--account", "one"))["loans"][0]
    assert found["events"][0]["ltv_before"] < "0.71"


def test_gaps_are_told_in_table_and_json(loans: Path) -> None:
    file = loans.with_name("btcusdt_1m_test.csv")
    rows = [f"{1_600_000_000_000 + 60_000 * minute},100,100,100,100" for minute in (0, 1, 4, 5)]
    file.write_text("\n".join([HEADER, *rows]))
    assert "2 candles are missing in 1 places" in replay(loans, "--prices", str(file)).output
    found = tree(replay(loans, "--prices", str(file), "--json"))
    assert found["gaps"] == {"BTC": [{"from": "2020-09-13T12:28:40.000Z", "candles": 2}]}
    assert found["inputs"]["prices"][0]["step_s"] == 60


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "there are no prices: name files of candles with --prices"),
        (("--prices", "nowhere.csv"), "nowhere.csv does not exist"),
        (("--prices", __file__), "does not say which pair it holds"),
        (("--prices", "btcusdt_1m.csv"), "btcusdt_1m.csv does not exist"),
        ((*CRASH, "--start", "2020-03-12"), "--synthetic makes up its own prices"),
        ((*CRASH, "--wallet", "BTC="), "--wallet BTC must be a number of coins"),
        ((*CRASH, "--wallet", "1.5BTC"), "--wallet 1.5BTC must be coins with amounts, such as BTC=1.5"),
        ((*CRASH, "--wallet", "BTC=1,BTC=2"), "--wallet names BTC twice"),
        ((*CRASH, "--latency-s", "-1"), "--latency-s must be 0 or more seconds"),
        ((*CRASH, "--seed", "-1"), "--seed must be 0 or more"),
        ((*CRASH, "--account", "main"), "name that with -c"),
        ((*CRASH, "--ban", "10@worst"), "--ban 10@worst can't be read: say how long and when"),
        ((*CRASH, "--ban", "0m@worst"), "--ban 0m@worst must last for at least 1s"),
        ((*CRASH, "--ban", "1m@2019-01-01"), "--ban 1m@2019-01-01 begins outside of the prices"),
        ((*CRASH, "--lost-answers", "2"), "--lost-answers must be above 0 and at most 1"),
        ((*CRASH, "--platform-limit", "B C"), "--platform-limit must be"),
        ((*CRASH, "--index-lag-s", "-1"), "--index-lag-s must be 0 or more seconds"),
        (("--prices", "btcusdt.csv", "--start", "yesterday"), "--start must be a time in UTC"),
        (
            ("--prices", "btcusdt.csv", "--start", "2020-03-12", "--end", "2020-03-11"),
            "--start must be before --end",
        ),
    ],
)
def test_what_can_t_be_replayed_is_one_sentence(loans: Path, words: tuple[str, ...], says: str) -> None:
    assert says in refusal(replay(loans, *words))


def test_without_loans_it_says_how_to_name_them() -> None:
    said = refusal(CliRunner().invoke(command, list(CRASH)))
    assert "there are no loans: name a file of them with --loans" in said


def test_a_loan_that_is_liquidated_at_the_first_price_is_refused(loans: Path) -> None:
    loans.write_text(LOANS.replace("start_ltv: 0.60", "start_ltv: 0.96"))
    said = refusal(replay(loans, *CRASH))
    assert "the loan 1 has an LTV of 0.9600 at the first price, and is liquidated at 0.95" in said


def without(library: str, *words: str) -> subprocess.CompletedProcess[str]:
    program = f"import sys; sys.modules[{library!r}] = None; from ltv_guard.__main__ import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "replay", *words], capture_output=True, text=True, check=False
    )


def test_without_numpy_one_sentence_says_what_to_install(loans: Path) -> None:
    asked = without("numpy", "--loans", str(loans), *CRASH)
    assert asked.returncode == 2
    assert asked.stderr == "ltv-guard: this needs numpy: install it with pip install 'ltv-guard[replay]'\n"
    assert without("numpy", "--help").returncode == 0


def test_charts_are_written_to_a_file_and_need_a_library_of_their_own(loans: Path) -> None:
    file = loans.with_name("report.html")
    assert replay(loans, *CRASH, "--html", str(file)).exit_code == 0
    assert "<h2>Over time</h2>" in file.read_text()
    assert "no such folder" in refusal(replay(loans, *CRASH, "--html", str(loans / "nowhere" / "a.html")))
    asked = without("bokeh", "--loans", str(loans), *CRASH, "--html", str(file))
    assert (asked.returncode, "this needs bokeh" in asked.stderr) == (2, True)
    assert without("bokeh", "--loans", str(loans), *CRASH).returncode == 0
