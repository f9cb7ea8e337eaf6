"""Lists that lack loans without a word, by turns: told once, and their end once it lasts."""

from __future__ import annotations

from dataclasses import dataclass, field

LASTS = 5  # whole lists in a row: an order that slips between two pages does so again


@dataclass(slots=True)
class ShortLists:
    """Mutable, owned by one reporter."""

    _failed: dict[str, int] = field(default_factory=dict)
    _whole: dict[str, int] = field(default_factory=dict)

    def came(self, what: str) -> bool:
        """One has come. Whether that is news."""
        is_news = what not in self._failed
        self._failed.setdefault(what, 0)
        self._whole[what] = 0
        return is_news

    def whole_came(self, what: str, failed: int) -> int:
        """A whole one has, after so many reads that failed. How many did so that are over now; 0: none is."""
        if what not in self._failed:
            return failed
        self._failed[what] += failed
        self._whole[what] += 1
        return self.forget(what) if self._whole[what] >= LASTS else 0

    def forget(self, what: str) -> int:
        """It is over. How many reads failed."""
        self._whole.pop(what, None)
        return self._failed.pop(what, 0)
