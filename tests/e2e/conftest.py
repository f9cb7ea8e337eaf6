"""Gives each test a world of its own: the real daemon against a sandbox."""

from e2e_fixtures import OpenWorld, events, open_a_world, product, short_pauses

__all__ = ["OpenWorld", "events", "open_a_world", "product", "short_pauses"]
