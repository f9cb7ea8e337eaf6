"""The settings as the program sees them: sources merged, secrets read, policies resolved, all checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ltv_guard.adapters.settings.account_files import OddAccount
from ltv_guard.adapters.settings.accounts import AccountSection, Override, pool_clash
from ltv_guard.adapters.settings.all_accounts import FROM_FILES, resolve_accounts
from ltv_guard.adapters.settings.errors import Clash
from ltv_guard.adapters.settings.fleet_section import FleetSection
from ltv_guard.adapters.settings.journal import JournalSection, resolve_journal
from ltv_guard.adapters.settings.keys import Tree
from ltv_guard.adapters.settings.outlet_sections import (
    DeadmanSection,
    HttpSection,
    NotifySection,
    WatchdogSection,
    resolve_deadman,
    resolve_http,
    resolve_notify,
)
from ltv_guard.adapters.settings.rule_sections import Policy
from ltv_guard.adapters.settings.secret_files import absolute
from ltv_guard.adapters.settings.sections import ExchangeSection, Logging, Schedule, Settlement
from ltv_guard.adapters.settings.values import AccountName, File, Marker, is_loopback
from ltv_guard.adapters.settings.wallet_sections import Sources, Wallet
from ltv_guard.core.model.timing import TIMING, Timing


class Layer(PydanticBaseSettingsSource):
    """One source, read already."""

    def __init__(self, settings_cls: type[BaseSettings], tree: Tree) -> None:
        super().__init__(settings_cls)
        self._tree = tree

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return self._tree.get(field_name), field_name, False

    def __call__(self) -> Tree:
        return self._tree


class JournalSettings(BaseSettings):
    """What the kill switch needs, and no more."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    source: Annotated[Path | None, Marker.RESOLVED] = None
    """The YAML file; None if there was none."""
    account_names: Annotated[frozenset[str] | None, Marker.RESOLVED, Field(exclude=True)] = None
    """What the accounts are called; None where what is written of them can't be read."""
    journal: JournalSection
    logging: Logging = Logging()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - it reads os.environ
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Reads what `load` passes, the first layer on top, and nothing else."""
        return tuple(Layer(settings_cls, tree) for tree in init_settings()["layers"])

    @model_validator(mode="before")
    @classmethod
    def _resolve_journal(cls, written: Tree) -> Tree:
        local = is_loopback(written.get("exchange", {}).get("base_url"))
        journal = resolve_journal(written.get("journal", {}), folder_of(written), local_exchange=local)
        return {key: value for key, value in written.items() if key in cls.model_fields} | {
            "journal": journal
        }


class Settings(JournalSettings):
    """The whole configuration, checked, with what it did not say filled in."""

    timing: Annotated[Timing, Marker.RESOLVED, Field(exclude=True)] = TIMING
    """What no key sets, for whoever tries it faster."""
    mode: Literal["dry_run", "live"] = "dry_run"
    exchange: ExchangeSection = ExchangeSection()
    policy: Policy = Policy()
    wallet: Wallet = Wallet()
    sources: Sources = Sources()
    schedule: Schedule = Schedule()
    settlement: Settlement = Settlement()
    watchdog: WatchdogSection = WatchdogSection()
    deadman: DeadmanSection = DeadmanSection()
    http: HttpSection = HttpSection()
    notify: NotifySection = NotifySection()
    fleet: FleetSection = FleetSection()
    overrides: tuple[Override, ...] = ()
    accounts: dict[AccountName, AccountSection] = {}
    accounts_dir: File = None
    """A folder with more accounts, each in a file of its own."""
    odd_accounts: Annotated[tuple[OddAccount, ...], Marker.RESOLVED, Field(exclude=True)] = ()
    """Files there that can't be used."""
    account_files: Annotated[dict[str, Path], Marker.RESOLVED, Field(exclude=True)] = {}
    """Of the accounts that have files of their own."""

    @model_validator(mode="before")
    @classmethod
    def _resolve_accounts(cls, written: Tree) -> Tree:
        found, files, odd = resolve_accounts(written, folder_of(written))
        names = frozenset((*found, *(item.name for item in odd)))
        resolved: Tree = {
            "accounts": found,
            "account_names": names,
            "odd_accounts": odd,
            "account_files": files,
        }
        if (own := written.get("accounts_dir")) is not None:
            resolved["accounts_dir"] = absolute(own, folder_of(written))
        return {key: value for key, value in written.items() if key != FROM_FILES} | resolved

    @model_validator(mode="before")
    @classmethod
    def _resolve_watching(cls, written: Tree) -> Tree:
        folder = folder_of(written)
        return {
            **written,
            "deadman": resolve_deadman(written.get("deadman", {}), folder),
            "http": resolve_http(written.get("http", {}), folder),
            "notify": resolve_notify(written.get("notify", {}), folder),
        }

    @field_validator("accounts")
    @classmethod
    def _each_key_once(
        cls, accounts: dict[str, AccountSection], info: ValidationInfo
    ) -> dict[str, AccountSection]:
        if not accounts and info.data.get("source") is None:
            raise ValueError(
                "is empty, and no configuration file was read: name one, such as -c config.yaml, or set "
                "LTV_GUARD_ACCOUNTS__MAIN__API_KEY and LTV_GUARD_ACCOUNTS__MAIN__API_SECRET"
            )
        if not accounts:
            raise ValueError(
                "is empty, and there is nothing to guard without a key: set accounts.main.api_key_file and "
                "accounts.main.api_secret_file, or LTV_GUARD_ACCOUNTS__MAIN__API_KEY and "
                "LTV_GUARD_ACCOUNTS__MAIN__API_SECRET"
            )
        users: dict[str, str] = {}
        for name, account in accounts.items():
            other = users.setdefault(account.api_key.get_secret_value(), name)
            if other != name:
                raise Clash(name, f"has the same API key as accounts.{other}: keep one of the two")
        return accounts

    def passing_over(self, refused: Mapping[str, str], before: Mapping[str, AccountSection]) -> Settings:
        """Without what the files of these accounts say, for that does not work: by name, why.

        Each goes on as it was `before`, if it was there.
        """
        kept = {name: before[name] for name in refused if name in before}
        others = {name: item for name, item in self.accounts.items() if name not in refused}
        odd = [
            OddAccount(name=name, file=self.account_files[name], why=why, guarded=name in kept)
            for name, why in refused.items()
        ]
        changes = {"accounts": others | kept, "odd_accounts": (*self.odd_accounts, *odd)}
        return self.model_copy(update=changes)

    @model_validator(mode="after")
    def _stop_outlasts_a_request(self) -> Self:
        stop, request = self.schedule.shutdown_timeout_s, self.exchange.request_timeout_s
        if stop <= request:
            raise Clash(
                "schedule.shutdown_timeout_s",
                f"({stop:g}) must be above exchange.request_timeout_s ({request:g})",
            )
        return self

    @model_validator(mode="after")
    def _overrides_name_known_accounts(self) -> Self:
        known = sorted(self.account_names or ())
        for index, override in enumerate(self.overrides):
            if override.match.account not in (None, *known):
                raise Clash(f"overrides.{index}.match.account", f"must be one of {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _a_fleet_can_share(self) -> Self:
        if not self.fleet.enabled:
            return self
        if self.journal.file is not None:
            raise Clash(
                "fleet.enabled", "needs a journal in PostgreSQL, which workers share: set journal.url"
            )
        if not any(item.egress == self.fleet.egress for item in self.accounts.values()):
            known = ", ".join(sorted({item.egress for item in self.accounts.values()}))
            raise Clash("fleet.egress", f"is that of no account, whose egress is one of {known}")
        return self

    @model_validator(mode="after")
    def _an_account_has_one_pool(self) -> Self:
        for account in self.accounts.values():
            if (clash := pool_clash(account)) is not None:
                raise clash
        return self


def folder_of(written: Mapping[str, Any]) -> Path:
    """Where relative paths start: beside the YAML file, or the working directory without one."""
    source = written.get("source")
    return source.parent if isinstance(source, Path) else Path.cwd()
