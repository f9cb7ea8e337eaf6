"""The configuration: the only reader of the YAML file, the environment and the secret files."""

from .accounts import AccountKey, AccountSection, Override, Rule
from .errors import ConfigError
from .journal import JournalSection
from .loading import load, load_journal
from .model import NOT_YET, JournalSettings, Settings
from .sections import (
    Add,
    ExchangeSection,
    LimitsSection,
    Logging,
    MatchSection,
    Policy,
    PoolTermsSection,
    Reduce,
    Repay,
    Schedule,
    Settlement,
    Sources,
    UnifiedTransfer,
    Wallet,
)
from .values import Product
from .watching import DeadmanSection, HttpSection, WatchdogSection

__all__ = [
    "NOT_YET",
    "AccountKey",
    "AccountSection",
    "Add",
    "ConfigError",
    "DeadmanSection",
    "ExchangeSection",
    "HttpSection",
    "JournalSection",
    "JournalSettings",
    "LimitsSection",
    "Logging",
    "MatchSection",
    "Override",
    "Policy",
    "PoolTermsSection",
    "Product",
    "Reduce",
    "Repay",
    "Rule",
    "Schedule",
    "Settings",
    "Settlement",
    "Sources",
    "UnifiedTransfer",
    "Wallet",
    "WatchdogSection",
    "load",
    "load_journal",
]
