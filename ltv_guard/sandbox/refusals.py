"""How the exchange says no: retCodes by reason and product (v5/error, crypto loan and asset sections)."""

from __future__ import annotations

LEGACY = "crypto_loan_legacy"
POOL = "crypto_loan"
TRANSFER = "transfer"

CODES = {
    "precision": {LEGACY: 177004, POOL: 148003, TRANSFER: 131210},
    "amount": {LEGACY: 177003, POOL: 148005, TRANSFER: 131215},
    "no_loan": {LEGACY: 177005, POOL: 148023},
    "balance": {LEGACY: 177011, POOL: 148012, TRANSFER: 131212},
    "over_maximum": {LEGACY: 177013, POOL: 148009},
    "not_taken": {LEGACY: 177017, POOL: 148004},
    "platform_limit": {LEGACY: 177015, POOL: 148048},
    "sale_limit": {POOL: 148047},
    "nothing_owed": {LEGACY: 177010, POOL: 148033},
}


class Refusal(Exception):
    """A business answer with a retCode other than 0."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def refusal(reason: str, product: str, message: str) -> Refusal:
    """A refusal for that reason, with the code that this product has for it."""
    return Refusal(CODES[reason][product], message)
