"""Why nothing would be sent, as `plan` says it."""

from __future__ import annotations

from ltv_guard.core.model.withheld import Why, Withheld
from ltv_guard.guard import sentences


def in_words(withheld: Withheld) -> str:
    """A sentence: the daemon's own, but for the mode."""
    return "mode is dry_run" if withheld.kind is Why.DRY_RUN else sentences.withheld(withheld)
