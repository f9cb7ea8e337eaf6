"""Events of the journal. Data only."""

from __future__ import annotations

from ltv_guard.log.events.event import critical, event, warning

JOURNAL = (
    event(
        "journal_unavailable",
        critical(
            "The journal can't be read or written: **nothing is sent**.",
            "`why` is a sentence that says what to do: [the journal](operations.md#the-journal).",
        ),
        fields=("why",),
    ),
    event(
        "journal_does_not_fit",
        critical(
            "The journal says that an adjustment of the last ten minutes was confirmed, and complete "
            "histories have lacked it for 4 x `history_lag_s`: this is another exchange (a sandbox "
            "that was started anew, say), or a journal that was copied. Its loan is left alone until "
            "the ten minutes are over, but in an emergency it is helped. `journal_fits_again` "
            "(WARNING) tells its end.",
            "Is `exchange.base_url` the one this journal was kept for? Give each exchange a journal "
            "of its own.",
        ),
        fields=("intent_id", "adjust_id", "why", "product", "loan_id"),
    ),
    event(
        "journal_restored",
        critical(
            "PostgreSQL answers from another server, failed over, or has lost what was marked *sent* "
            "(`why`), while the daemon was running. Nothing is sent until the receive window and "
            "margin have passed and the history has been read, as with a new journal.",
            "Nothing; look at the journal's server. What it lost is settled by nobody: look at the "
            "history on the exchange if it matters to you.",
            once=True,
        ),
        fields=("why",),
    ),
    event(
        "journal_row_odd",
        warning(
            "A row of the journal that can be done without makes no sense, and is passed over: the episode "
            "of a loan whose product is unknown, by a later version or by hand. Loans are guarded as usual.",
            "Nothing, where a later version wrote it; otherwise delete that row by hand.",
        ),
        fields=("why",),
    ),
    event(
        "journal_available",
        warning(
            "The journal works again, for every account.",
        ),
    ),
    event(
        "journal_fits_again",
        warning(
            "The end of `journal_does_not_fit`.",
        ),
        fields=("product", "loan_id"),
    ),
)
