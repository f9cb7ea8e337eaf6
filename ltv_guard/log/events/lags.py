"""Events of histories, of how late the exchange shows things, and of clocks. Data only."""

from __future__ import annotations

from ltv_guard.log.events.event import event, info, warning

LAGS = (
    event(
        "history_unavailable",
        warning(
            "The history of that `kind` (adjustment, repayment, transfer) can't be read. What is open "
            "of it stays open. Without the first nothing is released, without the second nothing is "
            "repaid. Adds go on for loans without an open one, for those whose accepted adds show in "
            "the loan, and so does a rescue.",
            "Nothing for minutes; then as `guard_blind`.",
        ),
        fields=("product", "kind", "why"),
    ),
    event(
        "history_slow",
        warning(
            "The history of that `kind` takes long to read, and is read on while the guard goes on "
            "with what it has. What is open of it stays open, releases wait, adds do not. "
            "`history_in_time` (INFO) tells the end.",
        ),
        fields=("product", "kind", "why"),
    ),
    event(
        "history_shown_as_before",
        warning(
            "The history of that `kind` lacks `rows` that it had shown before, or shows them as before "
            "they ended. It proves no absence "
            "until they are back, for ten minutes at most; a row that is there counts. "
            "`history_shown_as_it_is` (INFO) tells the end.",
        ),
        fields=("product", "kind", "rows", "why"),
    ),
    event(
        "exchange_slower_than_assumed",
        warning(
            "An adjustment showed later than `settlement.history_lag_s` (`assumed_s`) allows for: "
            "`endpoint` took `measured_s`, and `used_s` is waited for from now on. It widens by a "
            "quarter more than was measured, to 30 s at most, for a day; a restart forgets it. "
            "`exchange_as_assumed` (INFO) tells its end.",
            "Set `settlement.history_lag_s` to `used_s` if it comes back after each start.",
        ),
        fields=("endpoint", "measured_s", "assumed_s", "used_s"),
    ),
    event(
        "clock_skewed",
        warning(
            "This machine's clock is more than 1 s from the exchange's. Nothing here goes by it but "
            "the times of log lines.",
            "Let NTP keep it: [Clock](operations.md#clock).",
        ),
        fields=("skew_ms",),
    ),
    event(
        "clock_jumped",
        warning(
            "This machine's clock was set by 2 s or more. Polling goes on.",
            "Nothing; mend NTP if it repeats. [Clock](operations.md#clock).",
        ),
        fields=("seconds",),
    ),
    event(
        "clock_not_measured",
        warning(
            "The exchange's clock could not be read, or its answers disagree. The offset from before "
            "holds; nothing is sent before a first measurement.",
            "Nothing, if it passes. [Clock](operations.md#clock).",
        ),
        fields=("why",),
    ),
    event(
        "history_available",
        info(
            "The end of `history_unavailable`.",
        ),
        fields=("product", "kind"),
    ),
    event(
        "history_in_time",
        info(
            "The end of `history_slow`.",
        ),
        fields=("product", "kind"),
    ),
    event(
        "history_shown_as_it_is",
        info(
            "The end of `history_shown_as_before`.",
        ),
        fields=("product", "kind"),
    ),
    event(
        "exchange_as_assumed",
        info(
            "The end of `exchange_slower_than_assumed`.",
        ),
        fields=("assumed_s",),
    ),
    event(
        "clock_agrees",
        info(
            "The end of `clock_skewed`.",
        ),
        fields=("skew_ms",),
    ),
)
