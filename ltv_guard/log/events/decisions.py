"""Events of what is decided, and of what is not done. Data only."""

from __future__ import annotations

from ltv_guard.log.events.event import critical, debug, event, info, warning

DECISIONS = (
    event(
        "breach_unanswered",
        critical(
            "A loan is above its trigger and nothing is done; also when its one rescue was sent and "
            "did not help. `why` says what keeps it: `dry_run`, `paused: ...`, `needs a human: ...`, "
            "a new or restored journal, a wallet (the Unified account, where transfers are enabled) "
            "or prices that can't be read, `protect: false`, three adjustments in a row that did not "
            "leave (`not sent: ...`), or an intent that *has had its one rescue*: its end is still not "
            "known, and nothing more may be added until it is.",
            "Add by hand if the LTV asks for it, then remove the cause. After a start, a new "
            "journal's wait ends by itself within seconds.",
        ),
        fields=("why", "ltv", "reason"),
    ),
    event(
        "breach_answered",
        warning(
            "The end of `breach_unanswered`: something is done about the loan, or it is below its "
            "trigger. `reason` says which.",
        ),
        fields=("ltv", "reason"),
    ),
    event(
        "protection_short",
        critical(
            "The loan can't be brought to its target; nothing can be added at all, nor, where that is "
            "enabled, moved or repaid. `missing` coins are lacking, `held_back` names what holds "
            "back, `reachable_ltv` is what can be reached. *Its share of scarce funds*: other loans "
            "need the coins as badly. `help` tells what each kind of help would do by itself, `by_hand` what "
            "you could do. Not said while a loan only waits for what its last repayment led to.",
            "Move coins to the Funding wallet. Or lower `wallet.reserve`, or raise "
            "`wallet.max_add_24h`, and [send SIGHUP](operations.md#changing-the-configuration). If "
            "the exchange refuses the coin, give the wallet another one of `collateral_preference`, "
            "or repay by hand. For the next time: [more ways to be "
            "safe](configuration.md#more-ways-to-be-safe).",
        ),
        critical(
            "All that may be given would leave the loan at `reachable_ltv`, 0.999 of its liquidation "
            "LTV or more: it would be liquidated all the same, so it is given nothing. `why` says "
            "what would have been needed.",
            "Bring `missing` coins to the Funding wallet, or repay in the app, at once. "
            "`limits.feed_lost: true` gives what there is.",
            case="with `why` and `reachable_ltv`",
        ),
        critical(
            "The Funding wallet can't pay what a fixed loan of the pool takes from it within "
            "`policy.due_within_s`: `missing` coins are lacking. `why` names the loan, its end, and what "
            "follows.",
            "Bring `missing` coins to the Funding wallet before then, or repay in the app.",
            case="with `why`, without `reachable_ltv`",
        ),
        warning(
            "Less than needed is added now: wallet, limit, a share of scarce funds or the exchange "
            "leave the loan above its target, or would; or nothing more can be done, also with collateral, "
            "and the pool is below its trigger. The fields are those of the CRITICAL one.",
            "The same, with more time.",
        ),
        fields=("what", "coin", "missing", "held_back", "reachable_ltv", "ltv", "why", "help", "by_hand"),
    ),
    event(
        "threshold_pulled_in",
        warning(
            "Your trigger or emergency LTV is too near the exchange's margin call. The logged ones hold.",
            "Lower `add.trigger_ltv` or `limits.emergency_ltv`.",
        ),
        fields=("trigger", "target", "emergency", "margin_call_ltv"),
    ),
    event(
        "decision_made",
        warning(
            "A new emergency: what is done about the loan, and why.",
        ),
        info(
            "What is done about a loan, and why: `cause` is [one word](operations.md#causes), "
            "`reason` the same in words.",
        ),
        debug(
            "The same as in the cycle before.",
        ),
        fields=("action", "cause", "reason", "ltv", "amount", "coin", "held_back", "rule"),
    ),
)
