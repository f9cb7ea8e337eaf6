"""The configuration: the only reader of the YAML file, the environment and the secret files."""

from ltv_guard.adapters.settings.account_files import OddAccount
from ltv_guard.adapters.settings.accounts import AccountKey, AccountSection, Override, Rule
from ltv_guard.adapters.settings.errors import ConfigError
from ltv_guard.adapters.settings.journal import JournalSection
from ltv_guard.adapters.settings.loading import load, load_journal, load_rules
from ltv_guard.adapters.settings.model import JournalSettings, Settings
from ltv_guard.adapters.settings.outlet_sections import (
    DeadmanSection,
    HttpSection,
    NotifySection,
    WatchdogSection,
)
from ltv_guard.adapters.settings.rule_sections import (
    Add,
    LimitsSection,
    MatchSection,
    Policy,
    PoolTermsSection,
    Reduce,
    Repay,
)
from ltv_guard.adapters.settings.sections import ExchangeSection, Logging, Schedule, Settlement
from ltv_guard.adapters.settings.values import Product
from ltv_guard.adapters.settings.wallet_sections import Sources, UnifiedTransfer, Wallet

__all__ = [
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
    "NotifySection",
    "OddAccount",
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
    "load_rules",
]
