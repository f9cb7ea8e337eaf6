"""The payloads of an account beside its loans: wallets, transfers, and the key. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from ltv_guard.sandbox.accounts import Account
from ltv_guard.sandbox.payloads import Payload, plain
from ltv_guard.sandbox.records import Transfer
from ltv_guard.sandbox.scenario import ApiKey


def wallet(account: Account, name: str, coins: list[str]) -> Payload:
    """A wallet (v5/asset/balance/all-balance); without `coins`, every coin in it."""
    held = account.wallets[name]
    return {
        "accountType": name,
        "memberId": account.member_id,
        "balance": [
            {
                "coin": coin,
                "transferBalance": plain(held.get(coin, Decimal(0))),
                "walletBalance": plain(held.get(coin, Decimal(0))),
                "bonus": "",
            }
            for coin in coins or sorted(held)
        ],
    }


def transfer(row: Transfer) -> Payload:
    """What a transfer is answered with (v5/asset/transfer/create-inter-transfer)."""
    return {"transferId": row.transfer_id, "status": row.status}


def transfer_row(row: Transfer) -> Payload:
    """A row of v5/asset/transfer/inter-transfer-list."""
    return {
        "transferId": f"selfTransfer_{row.transfer_id}",
        "coin": row.coin,
        "amount": plain(row.amount),
        "fromAccountType": row.source,
        "toAccountType": row.destination,
        "timestamp": str(row.time_ms),
        "status": row.status,
    }


def iso(time_ms: int) -> str:
    """`2026-11-28T15:26:00Z` of a time in ms, as the key's page shows its end."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def key_information(key: ApiKey, now_ms: int, ends_ms: int | None) -> Payload:
    """What query-api tells of a key; one without an end shows a negative deadline and 1970."""
    days = -1 if ends_ms is None else (ends_ms - now_ms) // 86_400_000
    user_id = key.user_id or key.user
    groups = ("ContractTrade", "Spot", "Wallet", "Options", "Derivatives", "CopyTrading", "Exchange", "NFT")
    return {
        "id": "1",
        "note": "sandbox",
        "apiKey": key.key,
        "readOnly": int(key.read_only),
        "secret": "",
        "permissions": {group: key.permissions.get(group, []) for group in groups},
        "ips": key.ips or ["*"],
        "type": 1,
        "deadlineDay": days,
        "expiredAt": iso(ends_ms or 0),
        "unified": 0,
        "uta": 1,
        "userID": int(user_id) if user_id.isdigit() else user_id,
        "vipLevel": key.vip_level,
        "rsaPublicKey": key.rsa_public_key or "",
        "isMaster": True,
        "parentUid": "0",
    }
