"""A CSV file of candles that is filled page by page, and goes on where it stopped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ltv_guard.adapters.settings.errors import ConfigError

HEADER = "timestamp_ms,open,high,low,close"
TAIL_BYTES = 4_096  # more than the longest row


class CandleFile:
    """One file. What was torn when it was last written is cut off."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def goes_on_at(self, first_ms: int, step_ms: int) -> int:
        """Where the next page begins (UTC, ms): `first_ms` for a new file. ConfigError: it has other rows."""
        if not self.path.exists() or self.path.stat().st_size == 0:
            self.path.write_text(HEADER + "\n", encoding="utf-8")
            return first_ms
        with self.path.open(encoding="utf-8", errors="replace") as file:
            if file.readline() != HEADER + "\n":
                raise ConfigError(f"{self.path} is there already, and holds no candles: name another --out")
        self._cut_what_is_torn()
        last = self._last_line()
        if last == HEADER:
            return first_ms
        if not last.partition(",")[0].isdecimal():
            raise ConfigError(f"{self.path}: its last row is no candle: remove the file, or mend it")
        return int(last.partition(",")[0]) + step_ms

    def append(self, candles: Iterable[tuple[int, Sequence[str]]]) -> None:
        """Rows after those that are there: when each opens (ms), and its four prices."""
        lines = [f"{opens_ms},{','.join(prices)}\n" for opens_ms, prices in candles]
        with self.path.open("a", encoding="utf-8") as file:
            file.writelines(lines)

    def count(self) -> int:
        """How many candles it holds."""
        with self.path.open(encoding="utf-8") as file:
            return sum(1 for _ in file) - 1

    def _cut_what_is_torn(self) -> None:
        with self.path.open("rb+") as file:
            size = file.seek(0, 2)
            start = file.seek(max(0, size - TAIL_BYTES))
            file.truncate(start + file.read().rfind(b"\n") + 1)

    def _last_line(self) -> str:
        with self.path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL_BYTES))
            return (file.read().decode("utf-8", "replace").splitlines() or [""])[-1]
