"""Gives each test the world of the end-to-end tests, with the daemon in this process."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "guard"))
sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))

from e2e_fixtures import OpenWorld, events, open_a_world, product

__all__ = ["OpenWorld", "events", "open_a_world", "product"]
