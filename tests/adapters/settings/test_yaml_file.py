"""A file that is no usable YAML is refused in one sentence that names it, and the line where there is one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ltv_guard.adapters.settings import ConfigError, load

SECRET = "ApiSecretThatNobodyMaySee002"

Refusal = Callable[..., str]


@pytest.mark.parametrize(
    ("text", "named", "said"),
    [
        ("mode: [dry_run", "config.yaml", "line"),
        ("mode: dry_run\n  x: : y\naccounts:", "config.yaml", "line 2"),
        ("- mode: dry_run\n- accounts: 1", "config.yaml", "a list"),
        ("accounts: &a\n  main: *b", "config.yaml", "found undefined alias"),
        ("policy:\n\tadd: {}", "config.yaml", "line 2, column 1 (a tab: indent with spaces)"),
        ("only accounts:text", "config.yaml", "a single value"),
        (b"\x7fELF\x02\x01\x01\x00\x00", "config.yaml", "characters that no YAML file may hold"),
        (b"\xff\xfe\x00mode", "config.yaml", "not text in UTF-8"),
        (b"#" * (1 << 20) + b"#", "config.yaml", "larger than"),
        ("mode: dry_run\nmode: live", "config.yaml line 2", "mode a second time"),
        ("policy:\n  add:\n    target_ltv: 0.6\n    target_ltv: 0.5", "config.yaml line 4", "target_ltv"),
        ("mode: dry_run\n---\nmode: live", "config.yaml", "line"),
        ("mode: !!python/name:os.system x", "config.yaml", "tags"),
        ("schedule: {poll_interval_s: !!float 3}", "config.yaml", "tags"),
        ("? [mode]\n: live", "config.yaml", "a key must be text"),
        ("a: " + "[" * 5000, "config.yaml", ""),
        (f"accounts: {{main: {{api_secret: *{SECRET}}}}}", "config.yaml", "line 1"),
    ],
)
def test_what_can_not_be_read_is_named(refusal: Refusal, text: str | bytes, named: str, said: str) -> None:
    sentence = refusal(text)

    assert named in sentence
    assert said in sentence


@pytest.mark.parametrize("environ", [{}, {"LTV_GUARD_CONFIG": "absent.yaml"}])
def test_a_missing_file_is_named(folder: Path, environ: dict[str, str]) -> None:
    path = None if environ else folder / "absent.yaml"

    with pytest.raises(ConfigError, match=r"configuration file /.*absent\.yaml does not exist"):
        load(path, environ=environ)


def test_a_folder_is_no_configuration_file(folder: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        load(folder, environ={})


def test_few_lines_can_not_stand_for_millions(refusal: Refusal) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40))]

    assert "aliases" in refusal("\n".join(lines))


def test_a_value_that_holds_itself_is_refused(refusal: Refusal) -> None:
    assert "aliases" in refusal("overrides: &a [*a]")
