"""From settings to guards: adapters for every account, and the operator's words as the core's rules."""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal

from yarl import URL

from ltv_guard.adapters import bybit
from ltv_guard.core.model.errors import ExchangeUnavailable, NeedsHuman
from ltv_guard.core.model.loans import Owner, Product
from ltv_guard.core.model.policy import (
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
from ltv_guard.core.ports import Identity, Journal, LoanExchange, WritePath
from ltv_guard.core.reconcile.settlement import SettlementTimeouts
from ltv_guard.guard.cycle import Guard
from ltv_guard.guard.settings_match import Matcher, Matches
from ltv_guard.guard.snapshot import GuardOptions
from ltv_guard.settings import Account, ConfigError, Policy, Rule, Settings, UnifiedTransfer, Wallet

MS = 1000


@dataclass(slots=True)
class Wiring:
    """What a run works with: one guard an account, and what they share."""

    clock: bybit.ExchangeClock
    ban: bybit.Ban
    environment: str
    live: bool = False
    address: bybit.AddressLimit = field(default_factory=bybit.AddressLimit)
    connections: dict[str, Hashable] = field(default_factory=dict)
    limits: dict[str, bybit.RequestLimits] = field(default_factory=dict)
    clients: dict[str, bybit.BybitClient] = field(default_factory=dict)
    accounts: dict[str, bybit.BybitAccount] = field(default_factory=dict)
    guards: dict[str, Guard] = field(default_factory=dict)
    products: dict[str, list[LoanExchange]] = field(default_factory=dict)
    others: dict[str, list[WritePath]] = field(default_factory=dict)
    matchers: dict[str, Matcher] = field(default_factory=dict)
    known_products: dict[str, dict[Hashable, LoanExchange]] = field(default_factory=dict)
    claims: dict[str, _Claim] = field(default_factory=dict)
    identities: dict[str, Identity] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    clash: str | None = None

    @property
    def any_client(self) -> bybit.BybitClient:
        """For what belongs to the host and not to an account: its clock."""
        return next(iter(self.clients.values()))

    async def close(self, *, but: Wiring | None = None) -> None:
        """Closes the connections, `but` for those that another holds too."""
        kept = list(but.clients.values()) if but is not None else []
        for client in self.clients.values():
            if client not in kept:
                await client.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What the guards of a run have in common. `own` makes a user's loans this daemon's alone."""

    settings: Settings
    journal: Journal
    live: bool
    continuous: bool = True
    stopping: Callable[[], bool] = lambda: False
    own: Callable[[Owner], Awaitable[None]] | None = None


@asynccontextmanager
async def wire(
    frame: Frame, *, banned_for_s: float = 0.0, on_ban: Callable[[str, float], None] | None = None
) -> AsyncIterator[Wiring]:
    """Builds a guard for every account; closes the connections at the end."""
    wiring = begin(frame, banned_for_s=banned_for_s, on_ban=on_ban)
    try:
        yield wiring
    finally:
        await wiring.close()


def begin(
    frame: Frame, *, banned_for_s: float = 0.0, on_ban: Callable[[str, float], None] | None = None
) -> Wiring:
    """A guard for every account; whoever asks for them closes them."""
    wiring = _on_host(frame.settings, banned_for_s, on_ban)
    matches = _matches(frame.settings)
    for name, account in frame.settings.accounts.items():
        _connect(wiring, frame.settings, name, _credentials(account))
        _set_guard(wiring, frame, name, matches)
    return wiring


async def rewire(
    before: Wiring,
    frame: Frame,
    *,
    keeps_journal: bool,
    banned_for_s: float,
    on_ban: Callable[[str, float], None] | None,
) -> Wiring:
    """Guards for other settings, while those of `before` go on. Takes over what has not changed.

    A key that is new, or is to write for the first time, is tried. Raises ExchangeUnavailable, NeedsHuman,
    ConfigError; nothing is left open then.
    """
    settings = frame.settings
    wiring = _on_host(settings, banned_for_s, on_ban)
    if wiring.ban.host == before.ban.host:
        wiring.clock, wiring.ban, wiring.address = before.clock, before.ban, before.address
    matches = _matches(settings)
    try:
        for name, account in settings.accounts.items():
            wiring.connections[name] = _connection(settings, account)
            is_kept = wiring.connections[name] == before.connections.get(name)
            if is_kept:
                _keep(wiring, before, name)
            else:
                credentials = await asyncio.to_thread(_credentials, account)
                _connect(wiring, settings, name, credentials, limits=before.limits.get(name))
            if not is_kept or (frame.live and not before.live):
                wiring.identities[name] = await _tried(wiring, frame, name)
            _set_guard(wiring, frame, name, matches, before if keeps_journal else None)
            if (identity := wiring.identities.get(name)) is not None:
                await wiring.claims[name](identity)
    except BaseException:
        await wiring.close(but=before)
        raise
    return wiring


async def _tried(wiring: Wiring, frame: Frame, name: str) -> Identity:
    """Whose key it is, as the exchange says now. An exchange that was never asked is asked its time too."""
    try:
        if not wiring.clock.is_trusted:
            await wiring.clients[name].measure_clock()
        identity = await wiring.accounts[name].identify()
    except (ExchangeUnavailable, NeedsHuman) as error:
        raise ConfigError(f"accounts.{name} was tried, and its key does not work: {error}") from None
    if frame.live and not identity.can_adjust:
        raise ConfigError(f"accounts.{name} has a key that may not adjust loans: give it 'Spot trade'")
    return identity


def _on_host(settings: Settings, banned_for_s: float, on_ban: Callable[[str, float], None] | None) -> Wiring:
    host = URL(settings.exchange.rest_url).authority
    return Wiring(
        clock=bybit.ExchangeClock(),
        ban=bybit.Ban(host, remaining_s=banned_for_s, on_ban=on_ban),
        environment=settings.exchange.environment,
        live=settings.mode == "live",
    )


def _matches(settings: Settings) -> Matches:
    return Matches({name: [rule.name for rule in item.rules] for name, item in settings.accounts.items()})


def _connection(settings: Settings, account: Account) -> Hashable:
    """What a connection was made from: where none of it has changed, it is kept."""
    exchange, found = settings.exchange, account.credentials
    return (
        *(exchange.rest_url, exchange.environment, exchange.recv_window_ms, exchange.request_timeout_s),
        *(found.api_key, found.api_secret, found.rsa_private_key),
    )


def _connect(
    wiring: Wiring,
    settings: Settings,
    name: str,
    credentials: bybit.Credentials,
    *,
    limits: bybit.RequestLimits | None = None,
) -> None:
    """`limits` are those of the same user before: its paces go on."""
    wiring.connections[name] = _connection(settings, settings.accounts[name])
    wiring.limits[name] = limits or bybit.RequestLimits()
    wiring.clients[name] = bybit.BybitClient(
        settings.exchange.rest_url,
        credentials,
        clock=wiring.clock,
        ban=wiring.ban,
        address=wiring.address,
        limits=wiring.limits[name],
        recv_window_ms=settings.exchange.recv_window_ms,
        request_timeout_s=float(settings.exchange.request_timeout_s),
    )
    wiring.accounts[name] = bybit.BybitAccount(wiring.clients[name])


def _keep(wiring: Wiring, before: Wiring, name: str) -> None:
    wiring.limits[name] = before.limits[name]
    wiring.clients[name] = before.clients[name]
    wiring.accounts[name] = before.accounts[name]
    wiring.known_products[name] = before.known_products[name]
    if name in before.identities:
        wiring.identities[name] = before.identities[name]


def _set_guard(
    wiring: Wiring, frame: Frame, name: str, matches: Matches, before: Wiring | None = None
) -> None:
    settings, account, client = frame.settings, frame.settings.accounts[name], wiring.clients[name]
    products = wiring.products[name] = _products(account, client, wiring.known_products.setdefault(name, {}))
    others = wiring.others[name] = _other_writes(products, client)
    wiring.claims[name] = _Claim(wiring, settings.exchange.environment, name, products, frame.own)
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
        _options(settings, name, live=frame.live, continuous=frame.continuous),
        account=wiring.accounts[name],
        products=products,
        others=others,
        journal=frame.journal,
        clock=wiring.clock,
        rulebook=rulebook_of(account),
        new_id=lambda: uuid.uuid4().hex,
        seed=lambda: secrets.randbelow(1_000_000),
        claim=wiring.claims[name],
        stopping=frame.stopping,
        matcher=wiring.matchers[name],
        oddities=client.oddities.current,
        after=_guard_before(wiring, before, name),
    )


def _guard_before(wiring: Wiring, before: Wiring | None, name: str) -> Guard | None:
    """The guard of the same user before, if there was one: what it knows is taken over."""
    if before is None or (wiring.ban.host, wiring.environment) != (before.ban.host, before.environment):
        return None
    identity = wiring.identities.get(name)
    if identity is None:  # the same key, which nobody has told us the user of yet
        return before.guards[name]
    return before.guards.get(before.owners.get(identity.user_id, ""))


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
        self.wiring.identities[self.account] = identity
        for exchange in self.products:
            if isinstance(exchange, bybit.LegacyLoans):
                exchange.vip_level = identity.vip_level
        if self.own is not None:
            await self.own(Owner(self.environment, identity.user_id))


def _products(
    account: Account, client: bybit.BybitClient, known: dict[Hashable, LoanExchange]
) -> list[LoanExchange]:
    """The loan products that the account's settings name; those `known` for the same settings go on."""
    found: list[LoanExchange] = []
    if Product.LEGACY in account.products:
        found.append(known.setdefault(Product.LEGACY, bybit.LegacyLoans(client)))
    if Product.CRYPTO_LOAN in account.products:
        policies = [account.policy, *(rule.policy for rule in account.rules)]
        wanted = tuple(dict.fromkeys(coin for policy in policies for coin in policy.collateral_preference))
        terms = account.policy.pool_terms
        pool = bybit.PoolLoans(
            client,
            candidates=wanted,
            margin_call_ltv=terms.margin_call_ltv,
            liquidation_ltv=terms.liquidation_ltv,
        )
        found.append(known.setdefault((Product.CRYPTO_LOAN, wanted, terms), pool))
    return found


def _other_writes(products: Sequence[LoanExchange], client: bybit.BybitClient) -> list[WritePath]:
    """Whether they are used is the policy's matter; what was sent before is settled all the same."""
    return [*(bybit.repayments(client, item.product) for item in products), bybit.transfers(client)]


def _credentials(account: Account) -> bybit.Credentials:
    found = account.credentials
    signer: bybit.Signer
    if found.rsa_private_key is not None:
        from ltv_guard.adapters.bybit.rsa_signing import RsaSigner  # noqa: PLC0415 - slow to import

        signer = RsaSigner.from_pem(found.rsa_private_key.get_secret_value())
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
        timeouts=SettlementTimeouts(
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
            feed_lost=policy.limits.feed_lost,
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
