"""Gives each test an exchange; the guard runs in the image."""

from e2e_fixtures import OpenWorld, Timings, events, open_a_world, product, timings

__all__ = ["OpenWorld", "Timings", "events", "open_a_world", "product", "timings"]
