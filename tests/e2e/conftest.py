"""Gives each test a world of its own: the real daemon against a sandbox."""

from e2e_fixtures import OpenWorld, Timings, events, open_a_world, product, short_pauses, timings
from journal_postgres import postgres_server, postgres_url

__all__ = [
    "OpenWorld",
    "Timings",
    "events",
    "open_a_world",
    "postgres_server",
    "postgres_url",
    "product",
    "short_pauses",
    "timings",
]
