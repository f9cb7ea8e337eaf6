"""Gives each test the world of the end-to-end tests, with the daemon in this process."""

from e2e_fixtures import OpenWorld, Timings, events, open_a_world, product, timings
from journal_postgres import postgres_server, postgres_url

__all__ = [
    "OpenWorld",
    "Timings",
    "events",
    "open_a_world",
    "postgres_server",
    "postgres_url",
    "product",
    "timings",
]
