"""An account: its key, its products, and its policy and rules after everything has been merged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, ValidationError, field_validator

from ltv_guard.adapters.settings.errors import Clash, ConfigError, Origins, refusal
from ltv_guard.adapters.settings.keys import Tree, merge, variable_name
from ltv_guard.adapters.settings.rule_sections import MatchSection, Policy, each_once
from ltv_guard.adapters.settings.secret_files import QUOTES, absolute, read_secret
from ltv_guard.adapters.settings.sections import Section
from ltv_guard.adapters.settings.values import (
    AccountName,
    File,
    Marker,
    OptionalSecret,
    Patch,
    Product,
    Secret,
)
from ltv_guard.adapters.settings.wallet_sections import Sources, Wallet

PRODUCTS: tuple[Product, ...] = ("crypto_loan", "crypto_loan_legacy")
_SECRETS = ("api_secret", "rsa_private_key")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountKey:
    """An API key with exactly one of the two ways to sign for it."""

    api_key: SecretStr
    api_secret: SecretStr | None = None
    rsa_private_key: SecretStr | None = None
    """PEM, not encrypted."""


class Rule(Section):
    """An override as one account sees it: its policy lies over the account's."""

    name: str
    """Where it was written, such as `overrides.0`."""
    match: MatchSection
    protect: bool = True
    policy: Policy


class Override(Section):
    """An override as it was written; what it comes to is in the accounts' rules."""

    match: MatchSection
    protect: bool = True
    policy: Annotated[dict[str, Any], Patch(Policy)] = Field(default_factory=dict)

    @field_validator("match")
    @classmethod
    def _says_which_loans(cls, value: MatchSection) -> MatchSection:
        # an empty one is a slip of indentation, and would take the protection off every loan
        if value == MatchSection():
            raise ValueError(
                "must name at least one of account, product, order_id, collateral_coin, loan_coin"
            )
        return value


class AccountSection(Section):
    """One account: its key, its products, and what holds for it alone."""

    name: Annotated[str, Marker.RESOLVED]
    products: tuple[Product, ...] = PRODUCTS
    egress: AccountName = "default"
    """From which address its key may call: workers with the same `fleet.egress` guard it."""
    api_key_file: File = None
    api_secret_file: File = None
    rsa_private_key_file: File = None
    api_key: Secret
    api_secret: OptionalSecret = None
    rsa_private_key: OptionalSecret = None
    policy: Policy = Policy()
    """The policy of all accounts with this one's laid over it."""
    wallet: Wallet = Wallet()
    """The same of the wallet."""
    sources: Sources = Sources()
    """The same of the sources."""
    by_override: Annotated[dict[int, Rule], Marker.RESOLVED] = Field(default_factory=dict)
    """By the position in the list of overrides, whose paths errors name."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The overrides that may fit a loan of this account, in order: the first that fits wins."""
        return tuple(self.by_override.values())

    @property
    def credentials(self) -> AccountKey:
        """The key with its secret, or with its RSA key."""
        return AccountKey(
            api_key=self.api_key, api_secret=self.api_secret, rsa_private_key=self.rsa_private_key
        )

    @field_validator("products")
    @classmethod
    def _each_product_once(cls, value: tuple[Product, ...]) -> tuple[Product, ...]:
        return each_once(value, "product")


def resolve_account(name: str, written: Tree, settings: Mapping[str, Any], folder: Path) -> Tree:
    """An account with its secrets read and everything laid over what it inherits. Raises ConfigError."""
    policy = merge(settings.get("policy", {}), written.get("policy", {}))
    rules = {
        index: {
            "name": f"overrides.{index}",
            **override,
            "policy": merge(policy, override.get("policy", {})),
        }
        for index, override in enumerate(settings.get("overrides", []))
        if override.get("match", {}).get("account") in (None, name)
    }
    return {
        **written,
        **_secrets(name, written, folder),
        "name": name,
        "policy": policy,
        "wallet": merge(settings.get("wallet", {}), written.get("wallet", {})),
        "sources": merge(settings.get("sources", {}), written.get("sources", {})),
        "by_override": rules,
    }


def section_of(
    name: str, written: Tree, settings: Mapping[str, Any], folder: Path, origins: Origins
) -> AccountSection:
    """An account of a file of its own, checked. Raises ConfigError."""
    resolved = resolve_account(name, written, settings, folder)
    try:
        account = AccountSection.model_validate(resolved)
    except ValidationError as error:
        raise refusal(error, origins, ("accounts", name)) from None
    if (clash := pool_clash(account)) is not None:
        raise ConfigError(f"{clash.key} {clash}", tuple(clash.key.split(".")))
    return account


def pool_clash(account: AccountSection) -> Clash | None:
    """An account has one pool, so that its terms can't differ by loan."""
    for rule in account.rules:
        if rule.policy.pool_terms != account.policy.pool_terms:
            return Clash(
                f"{rule.name}.policy.pool_terms",
                f"can't differ by loan, for an account has one pool: set policy.pool_terms, or "
                f"accounts.{account.name}.policy.pool_terms",
            )
    return None


def _secrets(name: str, written: Tree, folder: Path) -> Tree:
    place = f"accounts.{name}"
    if all(written.get(way) is None for way in ("api_key", "api_key_file")):
        raise ConfigError(
            f"{place} has no API key: set {place}.api_key_file, or {_variable(name, 'api_key')}"
        )
    ways = [way for way in _SECRETS if written.get(way) is not None or f"{way}_file" in written]
    if not ways:
        raise ConfigError(
            f"{place} has an API key without its secret: set {place}.api_secret_file or "
            f"{place}.rsa_private_key_file, or {_variable(name, 'api_secret')}"
        )
    if len(ways) > 1:
        raise ConfigError(
            f"{place} has both an api_secret and an rsa_private_key: keep the one that goes with its key"
        )
    values = {kind: _secret(name, kind, written, folder) for kind in ("api_key", *ways)}
    if values["api_key"] == values.get("api_secret"):
        raise ConfigError(
            f"{place} has the same value as its API key and as the secret of it: mend one of them"
        )
    files = {
        f"{kind}_file": absolute(written[f"{kind}_file"], folder)
        for kind in values
        if f"{kind}_file" in written
    }
    return {**values, **files}


def _secret(name: str, kind: str, written: Tree, folder: Path) -> str:
    key = f"accounts.{name}.{kind}"
    given = written.get(kind)
    if given is None:
        key = f"{key}_file"
        value = read_secret(key, written[f"{kind}_file"], folder)
    else:
        key = f"{key} (from {_variable(name, kind)})"
        value = given.get_secret_value()
    if kind == "rsa_private_key":
        # an env file has no place for line breaks
        pem = value if "\n" in value else value.replace("\\n", "\n")
        from ltv_guard.adapters.settings.rsa_key import check_rsa  # noqa: PLC0415 - slow to import, and only for accounts with such a key

        check_rsa(key, pem)
        return pem
    if flaw := _flaw(value):
        raise ConfigError(f"{key} {flaw}", ("accounts", name, f"{kind}_file"))
    return value


def _flaw(value: str) -> str | None:
    """What is wrong with a key or a secret, in words that hold nothing of it."""
    inner = value.strip()
    flaws = {
        "begins with a byte-order mark: save it as text in UTF-8 without one": value.startswith("\ufeff"),
        "holds more than one line: it must hold the value alone": "\n" in inner or "\r" in inner,
        "begins or ends with a blank: take it off": value != inner,
        "is in quotes: take them off": value[0] in QUOTES or value[-1] in QUOTES,
        "holds an =: it must hold the value alone, without its name": "=" in value,
        "holds a space or another character that no API key has": not re.fullmatch(r"[!-~]+", value),
    }
    return next((flaw for flaw, holds in flaws.items() if holds), None)


def _variable(name: str, kind: str) -> str:
    return variable_name(("accounts", name, kind))
