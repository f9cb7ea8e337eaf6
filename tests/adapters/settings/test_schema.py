"""The schema that editors get says what the models say: the same keys, and no more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from ltv_guard.adapters.settings import Settings, load
from ltv_guard.adapters.settings.keys import leaves
from ltv_guard.adapters.settings.schema import HEADER, NAME, schema
from ltv_guard.cli.main import main

ROOT = Path(__file__).parents[3]
FROM_THE_ENVIRONMENT_ONLY = ("api_key", "api_secret", "rsa_private_key")
WITH_NEIGHBOURS = {"api_secret_file", "margin_call_ltv", "liquidation_ltv"}  # explained together
KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def complaints(rule: dict[str, Any], value: object, path: str = "") -> Iterator[str]:
    """What a validator of draft 7 would say, as far as our schema uses it."""
    kinds = rule.get("type", [])
    allowed = [kind for name in ([kinds] if isinstance(kinds, str) else kinds) for kind in KINDS[name]]
    if "enum" in rule and value not in rule["enum"]:
        yield f"{path}: none of {rule['enum']}"
    if allowed and type(value) not in allowed:
        yield f"{path}: no {kinds}"
    elif isinstance(value, dict):
        yield from in_mapping(rule, value, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from complaints(rule["items"], item, f"{path}.{index}")
    elif isinstance(value, int | float):
        if value < rule.get("minimum", value) or value <= rule.get("exclusiveMinimum", value - 1):
            yield f"{path}: too small"
        if value > rule.get("maximum", value):
            yield f"{path}: too large"


def in_mapping(rule: dict[str, Any], value: dict[str, Any], path: str) -> Iterator[str]:
    yield from (f"{path}.{name}: missing" for name in rule.get("required", []) if name not in value)
    for name, item in value.items():
        below = rule.get("properties", {}).get(name, rule["additionalProperties"])
        if below is False:
            yield f"{path}.{name}: unknown"
        else:
            yield from complaints(below, item, f"{path}.{name}")


def said(text: str) -> list[str]:
    return list(complaints(schema(), yaml.safe_load(text)))


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: str(path.name))
def test_the_shipped_configurations_are_valid_and_name_their_schema(path: Path) -> None:
    text = path.read_text()

    assert said(text) == []
    assert text.startswith(f"{HEADER}{NAME}\n")


def test_the_schema_that_ships_is_the_one_of_the_models() -> None:
    assert json.loads((ROOT / "config" / NAME).read_text()) == schema(), "run `make docs`"
    printed = CliRunner().invoke(main, ["schema"])
    assert json.loads(printed.output) == schema()


def test_it_has_every_key_and_what_each_means() -> None:
    for path in leaves(Settings, "main"):
        rule = schema()
        for key in path:
            known = rule.get("properties", {})
            if key in FROM_THE_ENVIRONMENT_ONLY:
                assert key not in known
                break
            rule = known[key] if key in known else rule["additionalProperties"]
        else:
            is_alone = path[:2] != ("notify", "targets") and path[-1] not in WITH_NEIGHBOURS
            assert "description" in rule or not is_alone, path


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("polcy: {}", ".polcy: unknown"),
        ("policy: {add: {trigger_ltv: 75}}", ".policy.add.trigger_ltv: too large"),
        ("policy: {add: {trigger_ltv: 0}}", ".policy.add.trigger_ltv: too small"),
        ("mode: lively", ".mode: none of ['dry_run', 'live']"),
        ("policy: {reduce: {enabled: 1}}", ".policy.reduce.enabled: no boolean"),
        ("accounts: {main: {api_key: abc}}", ".accounts.main.api_key: unknown"),
        ("overrides: [{protect: false}]", ".overrides.0.match: missing"),
        ("overrides: [{match: {coin: BTC}}]", ".overrides.0.match.coin: unknown"),
        ("overrides: [{match: {}, policy: {add: {target: 0.6}}}]", ".overrides.0.policy.add.target: unknown"),
        ("notify: {targets: {phone: {level: loud}}}", ".notify.targets.phone.url_file: missing"),
        ("wallet: {reserve: {BTC: -1}}", ".wallet.reserve.BTC: too small"),
        ("http: {token: abc}", ".http.token: unknown"),
    ],
)
def test_an_editor_marks_what_a_start_would_refuse(text: str, complaint: str) -> None:
    assert complaint in said(text)


@pytest.mark.parametrize(
    "text",
    [
        "policy:",
        "exchange: {base_url: null}",
        "overrides: [{match: {order_id: 1794}}]",
        "notify: {digest_at: null}",
    ],
)
def test_an_editor_marks_nothing_that_a_start_accepts(text: str) -> None:
    assert said(text) == []


def test_the_example_that_is_printed_loads_and_names_a_schema_that_is_there(tmp_path: Path) -> None:
    printed = CliRunner().invoke(main, ["config", "example"]).output
    header, _, rest = printed.partition("\n")

    assert Path(header.removeprefix(HEADER)).name == NAME
    assert json.loads(Path(header.removeprefix(HEADER)).read_text()) == schema()
    assert rest == (ROOT / "config/ltv_guard.yaml").read_text().partition("\n")[2]
    (tmp_path / "config.yaml").write_text(printed)
    for kind in ("key", "secret"):
        (tmp_path / kind).write_text(kind)
    files = {
        f"LTV_GUARD_ACCOUNTS__MAIN__API_{kind.upper()}_FILE": str(tmp_path / kind)
        for kind in ("key", "secret")
    }
    assert load(tmp_path / "config.yaml", environ=files).policy.add.trigger_ltv == Decimal("0.75")
