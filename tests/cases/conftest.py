"""Gives each case the world of the end-to-end tests: the real daemon against a sandbox, on real sockets."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from e2e_fixtures import OpenWorld, events, open_a_world, product, short_pauses

__all__ = ["OpenWorld", "events", "open_a_world", "product", "short_pauses"]
