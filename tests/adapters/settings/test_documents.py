"""The shipped configurations and the reference page say what the models say."""

import itertools
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from ltv_guard.adapters.settings import Override, Settings, key_tables, load
from ltv_guard.adapters.settings.keys import fields_of, is_model, kind_of, leaves, plain

ROOT = Path(__file__).parents[3]
FROM_THE_ENVIRONMENT_ONLY = ("api_key", "api_secret", "rsa_private_key")
BY_NAME = ("notify", "targets", "main")  # of which there is none by default
INHERITED = {("accounts", "main", name) for name in ("policy", "wallet", "sources")}
REFERENCE = (ROOT / "docs/configuration.md").read_text()


def written_keys(tree: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield (*path, key)
            yield from written_keys(value, (*path, key))


def keys_to_write() -> list[tuple[str, ...]]:
    return [
        tuple(map(str, path))
        for path in leaves(Settings, "main")
        if path[-1] not in FROM_THE_ENVIRONMENT_ONLY and path[:3] not in INHERITED and path[:3] != BY_NAME
    ]


def example() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "config/ltv_guard.yaml").read_text())  # type: ignore[no-any-return]


def test_the_example_has_every_key() -> None:
    written = set(written_keys(example()))

    assert not [path for path in keys_to_write() if path not in written]
    assert written >= INHERITED


def test_the_example_explains_every_key_of_an_override() -> None:
    text = (ROOT / "config/ltv_guard.yaml").read_text()
    match = plain(kind_of(fields_of(Override)["match"]))

    assert is_model(match)
    for key in (*fields_of(Override), *fields_of(match)):
        assert re.search(rf"#.*\b{key}:", text), key


def test_every_key_of_the_example_has_a_comment_above_it() -> None:
    lines = (ROOT / "config/ltv_guard.yaml").read_text().splitlines()
    sections = {"exchange", "accounts", "main", "schedule", "settlement", "policy", "add", "reduce", "limits"}
    sections |= {
        "repay",
        "repay_with_collateral",
        "repay_fixed",
        "wallet",
        "sources",
        "unified_transfer",
        "logging",
        "journal",
        "pool_terms",
        "watchdog",
        "deadman",
        "http",
        "notify",
        "fleet",
    }
    own_words = {"api_secret_file", "margin_call_ltv", "liquidation_ltv"}  # explained with their neighbours

    for above, line in itertools.pairwise(lines):
        key = re.match(r" *(\w+):", line)
        if key and key[1] not in sections | own_words:
            assert above.lstrip().startswith("#"), line


def test_the_example_holds_the_defaults(folder: Path) -> None:
    keys = {
        f"LTV_GUARD_ACCOUNTS__MAIN__API_{kind}_FILE": str(folder / kind.lower()) for kind in ("KEY", "SECRET")
    }

    from_example = load(ROOT / "config/ltv_guard.yaml", environ=keys)
    from_nothing = load(None, environ=keys)

    assert from_example.model_dump(exclude={"source"}) == from_nothing.model_dump(exclude={"source"})


def test_the_sandbox_configuration_loads_as_it_is() -> None:
    settings = load(ROOT / "config/sandbox.yaml", environ={})
    credentials = settings.accounts["main"].credentials

    assert settings.mode == "live"
    assert settings.exchange.stream_url is None  # the real one would not fit the sandbox
    assert credentials.api_key.get_secret_value() == "sandbox-key"
    assert credentials.api_secret is not None
    assert credentials.api_secret.get_secret_value() == "sandbox-secret"
    assert settings.policy.reduce.enabled
    assert settings.journal.shown.endswith("journal-sandbox.db")


def test_the_sandbox_configuration_waits_no_longer_than_its_crashes_allow() -> None:
    settings = load(ROOT / "config/sandbox.yaml", environ={})
    new_journal_s = settings.exchange.recv_window_ms / 1000 + float(settings.settlement.processing_margin_s)

    assert new_journal_s <= 1.5  # the shipped crashes are over in half a minute
    assert settings.settlement.history_lag_s <= Decimal("0.5")


@pytest.mark.parametrize("path", [".".join(path) for path in keys_to_write()])
def test_the_reference_names_every_key_and_its_default(path: str) -> None:
    section, _, key = path.removeprefix("accounts.main.").rpartition(".")
    candidates = {path, path.partition(".")[2], key if section in ("", *Settings.model_fields) else path}
    rows = [
        row for row in REFERENCE.splitlines() if any(row.startswith(f"| `{each}` |") for each in candidates)
    ]
    if path == "overrides":
        assert "## Overrides" in REFERENCE
        return
    assert rows, path
    value: Any = example()
    for part in path.split("."):
        value = value[part]
    if "accounts" in path:
        return
    shown = f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)
    shown = {"None": "null", "True": "true", "False": "false"}.get(shown, shown)
    assert any(re.search(rf"\| `{re.escape(shown)}0?` \|", row) for row in rows), (path, shown)


def test_what_pages_say_of_keys_about_loans_is_made_from_the_models() -> None:
    example = (ROOT / key_tables.EXAMPLE).read_text()

    assert key_tables.with_tables(REFERENCE) == REFERENCE, "make docs"
    assert key_tables.with_sections(example) == example, "make docs"


PAGES = sorted(
    page
    for page in ROOT.rglob("*.md")
    if not any(part.startswith((".venv", ".pytest_cache")) for part in page.relative_to(ROOT).parts)
)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", re.DOTALL)


def without_code(text: str) -> str:
    return re.sub(
        r"```.*?```|`[^`\n]*`", lambda code: "x" if "\n" not in code[0] else "", text, flags=re.DOTALL
    )


def anchors(page: Path) -> set[str]:
    """As GitHub makes them: of each heading its words in small letters, with dashes between them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        found.add(re.sub(r"[^\w\- ]", "", shown).strip().replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(without_code(page.read_text())):
        path, _, anchor = link.partition("#")
        if ":" in path:
            continue
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", ["README.md", "docs/first_run.md"])
def test_the_configuration_of_the_first_run_loads(page: str, tmp_path: Path) -> None:
    (shown,) = re.findall(r"```yaml\n(mode: dry_run.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)
    (tmp_path / "config.yaml").write_text(shown)
    (tmp_path / "secrets").mkdir()
    for name in ("bybit_api_key", "bybit_api_secret"):
        (tmp_path / "secrets" / name).write_text(name)

    assert load(tmp_path / "config.yaml", environ={}).mode == "dry_run"
