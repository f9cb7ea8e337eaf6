"""What `init` asks. Every answer is checked as it is given, by the rule that checks it in the YAML."""

from __future__ import annotations

import importlib.util
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

import click

from ltv_guard.adapters.settings import values
from ltv_guard.adapters.settings.sections import REST
from ltv_guard.adapters.settings.shipped import shipped

T = TypeVar("T")

SANDBOX, MAINNET, LIVE = "sandbox", "mainnet", "live"
ENVIRONMENTS = (SANDBOX, "testnet", MAINNET)
SANDBOX_URL = "http://127.0.0.1:8765"
PRODUCTS = {
    "both": "[crypto_loan, crypto_loan_legacy]",
    "pool": "[crypto_loan]",
    "orders": "[crypto_loan_legacy]",
}
TOKEN_BYTES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What the configuration is made of. Amounts are in coins, by coin."""

    environment: str
    url: str | None
    account: str
    products: str
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    trigger: Decimal
    target: Decimal
    max_add: Mapping[str, Decimal]
    max_add_24h: Mapping[str, Decimal]
    reserve: Mapping[str, Decimal]
    notify_url: str | None = field(repr=False)
    token: str | None = field(repr=False)


def ask(environment: str | None) -> Answers:
    """Raises click.Abort where nobody answers any more."""
    environment = environment or _ask_environment()
    url = _ask_url(environment)
    click.echo("\nA name of your own for the account, and the loans to guard.")
    account = _ask("Account", "main", values.account_name)
    products = PRODUCTS[click.prompt("Loans", default="both", type=click.Choice(list(PRODUCTS)))]
    api_key, api_secret = _ask_key(environment)
    trigger, target = _ask_thresholds()
    click.echo("\nLimits, in coins, such as: BTC 0.5, USDT 20000. Enter for none.")
    max_add = _ask("The most to add in one adjustment", "", _amounts)
    max_add_24h = _ask("The most to add in a day", "", _amounts)
    reserve = _ask("What stays in the Funding wallet, short of an emergency", "", _amounts)
    return Answers(
        environment=environment,
        url=url,
        account=account,
        products=products,
        api_key=api_key,
        api_secret=api_secret,
        trigger=trigger,
        target=target,
        max_add=max_add,
        max_add_24h=max_add_24h,
        reserve=reserve,
        notify_url=_ask_notify_url(),
        token=_ask_token(),
    )


def _ask_environment() -> str:
    click.echo("sandbox is a simulated exchange on this machine, without a key and without money.")
    return str(click.prompt("Exchange", default=MAINNET, type=click.Choice(ENVIRONMENTS)))


def _ask_url(environment: str) -> str | None:
    """None: that of the environment."""
    if environment == SANDBOX:
        click.echo("It has to run while you go on: `ltv-guard sandbox` in another shell.")
    usual = SANDBOX_URL if environment == SANDBOX else REST[environment]
    url = _ask("Address of the exchange", usual, values.rest_url)
    return None if url == REST.get(environment) else url


def _ask_key(environment: str) -> tuple[str, str]:
    if environment == SANDBOX:
        key, secret = (shipped(f"sandbox_{kind}").read_text().strip() for kind in ("key", "secret"))
        return _ask("API key", key, _one_word), _ask("API secret", secret, _one_word)
    click.echo(
        "\nAn API key that is read-only is enough for a dry run, and the safest. The secret is not shown "
        "while you type."
    )
    return _ask("API key", None, _one_word), _ask("API secret", None, _one_word, is_secret=True)


def _ask_thresholds() -> tuple[Decimal, Decimal]:
    click.echo("\nAt the trigger LTV collateral is added, down to the target.")
    while True:
        trigger = _ask("Trigger LTV", "0.75", values.ltv)
        target = _ask("Target LTV", "0.65", values.ltv)
        if target < trigger:
            return trigger, target
        click.echo("Error: the target must be below the trigger.")


def _ask_notify_url() -> str | None:
    if importlib.util.find_spec("apprise") is None:
        click.echo(
            "\nTo be told of trouble on a phone: pip install 'ltv-guard[notify]', then notify.targets."
        )
        return None
    click.echo("\nWho is told of trouble: an Apprise URL, such as tgram://TOKEN/CHAT. Enter for nobody.")
    return _ask("URL", "", _apprise_url, is_secret=True) or None


def _ask_token() -> str | None:
    click.echo(
        "\nThe page at http://127.0.0.1:9464 shows everything. A token lets you pause and acknowledge there."
    )
    return secrets.token_hex(TOKEN_BYTES) if click.confirm("Make a token", default=False) else None


def _ask(question: str, default: str | None, checked: Callable[[str], T], *, is_secret: bool = False) -> T:
    def given(text: str) -> T:
        try:
            return checked(text.strip())
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    # Where no terminal is, there is nobody to hide it from, and getpass would complain.
    hidden = is_secret and sys.stdin.isatty()
    answer: T = click.prompt(
        question, default=default, value_proc=given, hide_input=hidden, show_default=bool(default)
    )
    return answer


def _one_word(text: str) -> str:
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError("must be one word, as the exchange shows it")
    return text


def _apprise_url(text: str) -> str:
    if text and ("://" not in text or not re.fullmatch(r"[!-~]+", text)):
        raise ValueError("must be an Apprise URL (github.com/caronc/apprise lists them), or nothing")
    return text


def _amounts(text: str) -> dict[str, Decimal]:
    """`BTC 0.5, USDT 20000`, also with a colon or an equals sign between."""
    found: dict[str, Decimal] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        coin, _, number = re.sub(r"[\s:=]+", " ", part).partition(" ")
        found[values.coin(coin)] = values.amount(number)
    return found
