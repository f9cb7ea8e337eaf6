"""The files that `init` writes: readable by their owner alone, and none is replaced unasked."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import click

from ltv_guard.adapters.settings import ConfigError
from ltv_guard.adapters.settings.schema import HEADER, NAME
from ltv_guard.adapters.settings.shipped import shipped
from ltv_guard.cli.init_questions import SANDBOX, Answers

OWN, OWN_FOLDER = 0o600, 0o700
FOLDER = "secrets"
ACCOUNTS_DIR = "# accounts_dir: accounts.d"

# As config/sandbox.yaml has it: a day passes in ten seconds there.
IN_THE_SANDBOX = """\
  recv_window_ms: 1000
  request_timeout_s: 0.9
settlement: {processing_margin_s: 0.2, history_lag_s: 0.5}
schedule: {poll_interval_s: 0.5, settle_interval_s: 0.3}
"""


def config_of(answers: Answers) -> str:
    """The YAML: what was answered, and the keys to look for next."""
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in _lines(answers))


def _lines(answers: Answers) -> Iterator[str]:
    yield f"{HEADER}{shipped(NAME)}"
    yield "# Made by `ltv-guard init`. `ltv-guard config example` prints every key with its default."
    yield "mode: dry_run                 # decides and logs, sends nothing. live sends"
    yield "exchange:"
    if answers.environment != SANDBOX:
        yield f"  environment: {answers.environment}"
    if answers.url is not None:
        yield f"  base_url: {answers.url}"
    if answers.environment == SANDBOX:
        yield IN_THE_SANDBOX
    yield "accounts:"
    yield f"  {answers.account}:"
    yield f"    products: {answers.products}"
    yield f"    api_key_file: {_key_file(answers, 'key')}            # relative to this file"
    yield f"    api_secret_file: {_key_file(answers, 'secret')}"
    yield "# More accounts stand below this one, or in files of their own, read again at SIGHUP:"
    yield f"# accounts.d/NAME.yaml holds what stands below {answers.account} here. Make the folder first."
    yield ACCOUNTS_DIR
    yield "policy:"
    yield f"  add: {{trigger_ltv: {answers.trigger:f}, target_ltv: {answers.target:f}}}"
    yield f"  limits: {{max_add: {_by_coin(answers.max_add)}}}    # the most in one adjustment, in coins"
    yield "wallet:"
    yield f"  reserve: {_by_coin(answers.reserve)}    # stays in the Funding wallet, short of an emergency"
    yield f"  max_add_24h: {_by_coin(answers.max_add_24h)}"
    if answers.notify_url is not None:
        yield "notify:"
        yield f"  targets: {{phone: {{url_file: {FOLDER}/notify_url, level: critical}}}}"
    if answers.token is not None:
        yield f"http: {{token_file: {FOLDER}/http_token}}"


def _by_coin(amounts: Mapping[str, Decimal]) -> str:
    return f"{{{', '.join(f'{coin}: {amount:f}' for coin, amount in amounts.items())}}}"


def _key_file(answers: Answers, kind: str) -> str:
    whose = "bybit" if answers.account == "main" else answers.account
    return f"{FOLDER}/{whose}_api_{kind}"


def write(path: Path, answers: Answers) -> None:
    """The secrets first, so that no configuration ever names a file that is not there. Raises ConfigError."""
    folder = path.parent / FOLDER
    with suppress(FileExistsError):
        folder.mkdir(mode=OWN_FOLDER)
    secrets = {
        _key_file(answers, "key"): answers.api_key,
        _key_file(answers, "secret"): answers.api_secret,
        f"{FOLDER}/notify_url": answers.notify_url,
        f"{FOLDER}/http_token": answers.token,
    }
    for name, text in secrets.items():
        if text is not None and may_write(path.parent / name):
            _write(path.parent / name, f"{text}\n")
    _write(path, config_of(answers))


def may_write(path: Path) -> bool:
    """Whether the file is not there, or may be replaced. Raises ConfigError where it can't be."""
    if not os.path.lexists(path):
        return True
    if not path.is_file():
        raise ConfigError(f"{path} is there, and is no file: name another one with -c")
    return click.confirm(f"{path} is there already. Replace it", default=False)


def _write(path: Path, text: str) -> None:
    """All of it or nothing, and never readable by others, not even for a moment."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, OWN)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), OWN)
        file.write(text)
    beside.replace(path)
    click.echo(f"wrote {path}")
