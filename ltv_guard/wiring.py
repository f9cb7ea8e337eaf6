"""From settings to guards: adapters for every account, and the operator's words as the core's rules."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal

from yarl import URL

from ltv_guard.adapters import bybit
from ltv_guard.core.errors import NeedsHuman
from ltv_guard.core.loans import Owner, Product
from ltv_guard.core.rules import (
    AddRule,
    Limits,
    LoanPolicy,
    Match,
    ReduceRule,
    RepayRule,
    Rulebook,
    TransferRules,
    WalletRules,
)
from ltv_guard.core.settlement import Patience
from ltv_guard.guard import Guard
from ltv_guard.matching import Matcher, Matches
from ltv_guard.ports import Identity, Journal, LoanExchange, WritePath
from ltv_guard.settings import Account, Policy, Rule, Settings, UnifiedTransfer, Wallet
from ltv_guard.sight import GuardOptions

MS = 1000


@dataclass(slots=True)
class Wiring:
    """What a run works with: one guard an account, and what they share."""

    clock: bybit.ExchangeClock
    ban: bybit.Ban
    clients: dict[str, bybit.BybitClient] = field(default_factory=dict)
    accounts: dict[str, bybit.BybitAccount] = field(default_factory=dict)
    guards: dict[str, Guard] = field(default_factory=dict)
    products: dict[str, list[LoanExchange]] = field(default_factory=dict)
    others: dict[str, list[WritePath]] = field(default_factory=dict)
    matchers: dict[str, Matcher] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    clash: str | None = None

    @property
    def any_client(self) -> bybit.BybitClient:
        """For what belongs to the host and not to an account: its clock."""
        return next(iter(self.clients.values()))


@asynccontextmanager
async def wire(
    settings: Settings,
    journal: Journal,
    *,
    live: bool,
    continuous: bool = True,
    banned_for_s: float = 0.0,
    on_ban: Callable[[str, float], None] | None = None,
    stopping: Callable[[], bool] = lambda: False,
    own: Callable[[Owner], Awaitable[None]] | None = None,
) -> AsyncIterator[Wiring]:
    """Builds a guard for every account; closes the connections at the end."""
    url = settings.exchange.rest_url
    wiring = Wiring(
        clock=bybit.ExchangeClock(),
        ban=bybit.Ban(URL(url).authority, remaining_s=banned_for_s, on_ban=on_ban),
    )
    matches = Matches({name: [rule.name for rule in item.rules] for name, item in settings.accounts.items()})
    address = bybit.AddressLimit()
    async with AsyncExitStack() as stack:
        for name, account in settings.accounts.items():
            client = bybit.BybitClient(
                url,
                _credentials(account),
                clock=wiring.clock,
                ban=wiring.ban,
                address=address,
                recv_window_ms=settings.exchange.recv_window_ms,
                request_timeout_s=float(settings.exchange.request_timeout_s),
            )
            stack.push_async_callback(client.close)
            products = wiring.products[name] = _products(account, client)
            others = wiring.others[name] = _other_writes(products, client)
            wiring.clients[name] = client
            wiring.accounts[name] = bybit.BybitAccount(client)
            wiring.matchers[name] = Matcher(
                name,
                rulebook_of(account),
                account=wiring.accounts[name],
                products=products,
                matches=matches,
                clock=wiring.clock,
                taken_for_granted=Policy().collateral_preference,
            )
            wiring.guards[name] = Guard(
                _options(settings, name, live=live, continuous=continuous),
                account=wiring.accounts[name],
                products=products,
                others=others,
                journal=journal,
                clock=wiring.clock,
                rulebook=rulebook_of(account),
                new_id=lambda: uuid.uuid4().hex,
                seed=lambda: secrets.randbelow(1_000_000),
                claim=_Claim(wiring, settings.exchange.environment, name, products, own),
                stopping=stopping,
                matcher=wiring.matchers[name],
                oddities=client.oddities.current,
            )
        yield wiring


@dataclass(slots=True)
class _Claim:
    """Notes whose key an account's is: two accounts of one user would each adjust the same loans."""

    wiring: Wiring
    environment: str
    account: str
    products: Sequence[LoanExchange]
    own: Callable[[Owner], Awaitable[None]] | None

    async def __call__(self, identity: Identity) -> None:
        other = self.wiring.owners.setdefault(identity.user_id, self.account)
        if other != self.account:
            self.wiring.clash = (
                f"accounts.{other} and accounts.{self.account} have keys of the same user "
                f"{identity.user_id}: keep one of the two"
            )
            raise NeedsHuman(self.wiring.clash)
        for exchange in self.products:
            if isinstance(exchange, bybit.LegacyLoans):
                exchange.vip_level = identity.vip_level
        if self.own is not None:
            await self.own(Owner(self.environment, identity.user_id))


def _products(account: Account, client: bybit.BybitClient) -> list[LoanExchange]:
    """The loan products that the account's settings name."""
    found: list[LoanExchange] = []
    if Product.LEGACY in account.products:
        found.append(bybit.LegacyLoans(client))
    if Product.CRYPTO_LOAN in account.products:
        policies = [account.policy, *(rule.policy for rule in account.rules)]
        wanted = dict.fromkeys(coin for policy in policies for coin in policy.collateral_preference)
        terms = account.policy.pool_terms
        found.append(
            bybit.PoolLoans(
                client,
                candidates=tuple(wanted),
                margin_call_ltv=terms.margin_call_ltv,
                liquidation_ltv=terms.liquidation_ltv,
            )
        )
    return found


def _other_writes(products: Sequence[LoanExchange], client: bybit.BybitClient) -> list[WritePath]:
    """Whether they are used is the policy's matter; what was sent before is settled all the same."""
    return [*(bybit.repayments(client, item.product) for item in products), bybit.transfers(client)]


def _credentials(account: Account) -> bybit.Credentials:
    found = account.credentials
    signer: bybit.Signer
    if found.rsa_private_key is not None:
        signer = bybit.RsaSigner.from_pem(found.rsa_private_key.get_secret_value())
    else:
        signer = bybit.HmacSigner(found.api_secret.get_secret_value() if found.api_secret else "")
    return bybit.Credentials(api_key=found.api_key.get_secret_value(), signer=signer)


def _options(settings: Settings, name: str, *, live: bool, continuous: bool) -> GuardOptions:
    return GuardOptions(
        account=name,
        environment=settings.exchange.environment,
        live=live,
        continuous=continuous,
        transfers=settings.accounts[name].sources.unified_transfer.enabled,
        poll_interval_ms=int(settings.schedule.poll_interval_s * MS),
        max_snapshot_age_ms=int(settings.schedule.max_snapshot_age_s * MS),
        blind_after_cycles=settings.schedule.blind_after_cycles,
        recv_window_ms=settings.exchange.recv_window_ms,
        patience=Patience(
            processing_margin_ms=int(settings.settlement.processing_margin_s * MS),
            history_lag_ms=int(settings.settlement.history_lag_s * MS),
        ),
    )


def rulebook_of(account: Account) -> Rulebook:
    """An account's policy, overrides and wallet, as the core knows them."""
    return Rulebook(
        default=_policy("policy", account.policy, protect=True),
        overrides=tuple(
            (_match(rule), _policy(rule.name, rule.policy, protect=rule.protect)) for rule in account.rules
        ),
        wallet=_wallet(account.wallet),
        transfers=_transfers(account.sources.unified_transfer),
    )


def _match(rule: Rule) -> Match:
    wanted = rule.match
    return Match(
        product=Product(wanted.product) if wanted.product is not None else None,
        order_id=wanted.order_id,
        collateral_coin=wanted.collateral_coin,
        loan_coin=wanted.loan_coin,
    )


def _policy(name: str, policy: Policy, *, protect: bool) -> LoanPolicy:
    return LoanPolicy(
        name=name,
        protect=protect,
        add=AddRule(trigger_ltv=policy.add.trigger_ltv, target_ltv=policy.add.target_ltv),
        collateral_preference=policy.collateral_preference,
        maturity_notice_ms=tuple(int(seconds * MS) for seconds in policy.maturity_notice_s),
        reduce=ReduceRule(
            enabled=policy.reduce.enabled,
            trigger_ltv=policy.reduce.trigger_ltv,
            target_ltv=policy.reduce.target_ltv,
            after_ms=int(policy.reduce.after_s * MS),
            after_foreign_add_ms=int(policy.reduce.after_foreign_add_s * MS),
        ),
        repay=RepayRule(enabled=policy.repay.enabled, max_repay=dict(policy.repay.max_repay)),
        limits=Limits(
            min_adjustment_ratio=Decimal(policy.limits.min_adjustment_ratio),
            cooldown_ms=int(policy.limits.cooldown_s * MS),
            max_reduction_ratio=Decimal(policy.limits.max_reduction_ratio),
            max_add=dict(policy.limits.max_add),
            emergency_ltv=policy.limits.emergency_ltv,
        ),
    )


def _wallet(wallet: Wallet) -> WalletRules:
    return WalletRules(
        reserve=dict(wallet.reserve),
        max_add_24h=dict(wallet.max_add_24h),
        max_repay_24h=dict(wallet.max_repay_24h),
    )


def _transfers(rule: UnifiedTransfer) -> TransferRules:
    return TransferRules(
        enabled=rule.enabled,
        max_transfer=dict(rule.max_transfer),
        max_transfer_24h=dict(rule.max_transfer_24h),
    )
