"""The configuration: the only reader of the YAML file, the environment and the secret files."""

from .accounts import Account, Credentials, Override, Rule
from .errors import ConfigError
from .journal import Journal
from .loading import load, load_journal
from .model import NOT_YET, JournalSettings, Settings
from .sections import (
    Add,
    Exchange,
    Limits,
    Logging,
    Match,
    Policy,
    PoolTerms,
    Reduce,
    Repay,
    Schedule,
    Settlement,
    Sources,
    UnifiedTransfer,
    Wallet,
)
from .values import Product
from .watching import Deadman, Watchdog

__all__ = [
    "NOT_YET",
    "Account",
    "Add",
    "ConfigError",
    "Credentials",
    "Deadman",
    "Exchange",
    "Journal",
    "JournalSettings",
    "Limits",
    "Logging",
    "Match",
    "Override",
    "Policy",
    "PoolTerms",
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
    "Watchdog",
    "load",
    "load_journal",
]
