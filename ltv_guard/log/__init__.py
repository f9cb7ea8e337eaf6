"""Log lines: their format, and when one is repeated."""
