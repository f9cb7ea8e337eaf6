"""The URL of a journal in PostgreSQL, in the words that its driver knows."""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

_HIGHEST_PORT = 65535
POOLER, BY_TRANSACTION = "pooler", "transaction"  # our own word: libpq has none for it
# SQLAlchemy's URLs for asyncpg say ssl=..., also as a mere yes or no.
_SSL = {
    "true": "require",
    "1": "require",
    "on": "require",
    "false": "disable",
    "0": "disable",
    "off": "disable",
}


def parse_url(url: str) -> URL:
    """Raises ValueError where no journal can be there, its sentence without the URL itself."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("the journal's URL is not one: write postgresql://user@host/database") from None
    if "\x00" in url or (parsed.port or 0) > _HIGHEST_PORT:
        raise ValueError("the journal's URL holds a character or a port that cannot be")
    if not parsed.database:
        raise ValueError("the journal's URL must name a database: postgresql://user@host/database")
    if parsed.query.get(POOLER, BY_TRANSACTION) != BY_TRANSACTION:
        raise ValueError(f"the journal's URL may say {POOLER}={BY_TRANSACTION}, and nothing else of a pooler")
    return _with_sslmode(parsed.set(drivername="postgresql+asyncpg").difference_update_query([POOLER]))


def is_pooled_by_transaction(url: str) -> bool:
    """Whether it says of a URL that can be parsed that each transaction may be another session's."""
    return make_url(url).query.get(POOLER) is not None


def _with_sslmode(url: URL) -> URL:
    """The same URL in libpq's words, which asyncpg reads: what it does not know it sends to the server."""
    asked = url.query.get("ssl")
    if not isinstance(asked, str):
        return url
    mode = _SSL.get(asked.lower(), asked)
    return url.difference_update_query(["ssl"]).update_query_dict({"sslmode": url.query.get("sslmode", mode)})
