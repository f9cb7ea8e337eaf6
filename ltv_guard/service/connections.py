"""Adapters for an account: its client, its products and its ways to write, new or as they were before."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from yarl import URL

from ltv_guard.adapters import bybit
from ltv_guard.adapters.settings import AccountSection, ConfigError, Settings
from ltv_guard.core.model.loans import Product
from ltv_guard.core.ports import ContractExchange, LoanExchange, WritePath
from ltv_guard.service.wiring import Wiring


def on_host(settings: Settings, banned_for_s: float, on_ban: Callable[[str, float], None] | None) -> Wiring:
    """What all accounts of one host share. `banned_for_s` is left of a ban that an earlier run met."""
    host = URL(settings.exchange.rest_url).authority
    return Wiring(
        host=bybit.Host(
            rest_url=settings.exchange.rest_url,
            clock=bybit.ExchangeClock(),
            ban=bybit.Ban(
                host, remaining_s=banned_for_s, lasts_s=settings.timing.ban_ms / 1000, on_ban=on_ban
            ),
            address=bybit.AddressBudget(settings.exchange.ip_budget_per_5s),
            timing=settings.timing,
            source_address=settings.exchange.source_address,
        ),
        environment=settings.exchange.environment,
        live=settings.mode == "live",
    )


def check_source(settings: Settings) -> None:
    """Raises ConfigError where nothing can leave from the local address that is to be used."""
    address = settings.exchange.source_address
    if address is not None and (why := bybit.why_unusable(address)) is not None:
        raise ConfigError(f"exchange.source_address is {address}, which can't be used: {why}")


def stream_of(settings: Settings, host: bybit.Host) -> bybit.SpotPrices | None:
    """Prices of the host as they change; None where there are none, or none are wanted."""
    url = settings.exchange.stream_url
    if url is None or not settings.schedule.price_stream:
        return None
    return bybit.SpotPrices(url, clock=host.clock, ban=host.ban, source_address=host.source_address)


def connection_of(settings: Settings, account: AccountSection) -> Hashable:
    """What a connection was made from: where none of it has changed, it is kept."""
    exchange, found = settings.exchange, account.credentials
    return (
        *(exchange.rest_url, exchange.environment, exchange.recv_window_ms, exchange.request_timeout_s),
        exchange.source_address,
        *(found.api_key, found.api_secret, found.rsa_private_key),
    )


def connect(
    wiring: Wiring,
    settings: Settings,
    name: str,
    credentials: bybit.Credentials,
    *,
    limits: bybit.RequestLimits | None = None,
) -> None:
    """`limits` are those of the same user before: its paces go on."""
    wiring.connections[name] = connection_of(settings, settings.accounts[name])
    wiring.limits[name] = limits or bybit.RequestLimits()
    wiring.clients[name] = bybit.BybitClient(
        wiring.host,
        credentials,
        limits=wiring.limits[name],
        recv_window_ms=settings.exchange.recv_window_ms,
        request_timeout_s=float(settings.exchange.request_timeout_s),
    )
    wiring.accounts[name] = bybit.BybitAccount(wiring.clients[name])


def keep(wiring: Wiring, before: Wiring, name: str) -> None:
    """Takes over the connection of an account that is the same as `before`."""
    wiring.limits[name] = before.limits[name]
    wiring.clients[name] = before.clients[name]
    wiring.accounts[name] = before.accounts[name]
    wiring.known_products[name] = before.known_products[name]
    if name in before.identities:
        wiring.identities[name] = before.identities[name]


def products_of(
    account: AccountSection, client: bybit.BybitClient, known: dict[Hashable, LoanExchange]
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


def other_writes(products: Sequence[LoanExchange], client: bybit.BybitClient) -> list[WritePath]:
    """Whether they are used is the policy's matter; what was sent before is settled all the same."""
    fixed = [bybit.contract_repayments(client)] if _has_pool(products) else []
    return [
        *(bybit.repayments(client, item.product) for item in products),
        *fixed,
        bybit.transfers(client),
    ]


def contracts_of(
    name: str, products: Sequence[LoanExchange], client: bybit.BybitClient
) -> dict[str, ContractExchange]:
    """The fixed loans of the pool of account `name`; nothing where the account has no pool."""
    return {name: bybit.FixedContracts(client)} if _has_pool(products) else {}


def _has_pool(products: Sequence[LoanExchange]) -> bool:
    return any(item.product is Product.CRYPTO_LOAN for item in products)


def credentials_of(account: AccountSection) -> bybit.Credentials:
    """The key, and what signs with it: HMAC, or RSA where an RSA key was given."""
    found = account.credentials
    signer: bybit.Signer
    if found.rsa_private_key is not None:
        from ltv_guard.adapters.bybit.rsa_signatures import RsaSigner  # noqa: PLC0415 - slow to import

        signer = RsaSigner.from_pem(found.rsa_private_key.get_secret_value())
    else:
        signer = bybit.HmacSigner(found.api_secret.get_secret_value() if found.api_secret else "")
    return bybit.Credentials(api_key=found.api_key.get_secret_value(), signer=signer)
