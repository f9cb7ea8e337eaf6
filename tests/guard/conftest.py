"""Makes hypothesis the same on every run, and tells the worst loss of protection that the machines saw."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "guard", derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
settings.load_profile("guard")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How long a loan stood above its trigger at worst, though it could be helped: by state machine."""
    import send_path  # noqa: PLC0415 - it is importable once this file has been read

    for machine, ms in send_path.WORST.items():
        terminalreporter.write_line(f"{machine}: worst loss of protection {ms / 1000:.1f} s")
