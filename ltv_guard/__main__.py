"""The command, also as `python -m ltv_guard`. Signals are heeded before what is slow to import."""

from __future__ import annotations

from ltv_guard.service import early_signals

early_signals.install()

from ltv_guard.cli.main import main  # noqa: E402 - see above

__all__ = ["main"]

if __name__ == "__main__":
    main()
