"""Makes `e2e_world` importable from the tests beside it, and gives each test a world of its own."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from e2e_fixtures import OpenWorld, events, open_a_world, product, short_pauses

__all__ = ["OpenWorld", "events", "open_a_world", "product", "short_pauses"]
