"""Events of an adjustment, from written down to settled. Data only."""

from __future__ import annotations

from ltv_guard.log.events.event import critical, error, event, info, warning

OF_A_WRITE = (
    "product",
    "loan_id",
    "intent_id",
    "direction",
    "coin",
    "collateral_coin",
    "contract",
    "amount",
    "ltv",
)
ADJUSTMENTS = (
    event(
        "adjustment_unsettled",
        critical(
            "An adjustment has been open for more than a minute. `waiting_for` says what for. It "
            "blocks its loan, apart from one rescue add; a transfer blocks further ones of its coin. "
            "An accepted add or release that the loan's coins show blocks no adds, only releases "
            "and repayments: `waiting_for` says so.",
            "Mostly the history is late or unreachable: wait. If it is older than the six months that "
            "the exchange shows, or in doubt, [resolve "
            "it](operations.md#resolving-an-intent-by-hand).",
        ),
        fields=("intent_id", "intent_state", "waiting_for", "mend", "product", "loan_id"),
    ),
    event(
        "adjustment_contradicted",
        critical(
            "The exchange accepted an add or a release, and the loan's coins showed it, and its "
            "history now says that it failed.",
            "Look at the loan's collateral. Report it.",
        ),
        fields=("intent_id", "why", "product", "loan_id"),
    ),
    event(
        "adjustment_ambiguous",
        critical(
            "An adjustment may or may not be ours: more than one row of the history fits, or its coins "
            "moved and no row told of it, for two minutes (more where `history_lag_s` is longer). It is "
            "closed and blocks nothing. It counts in `max_add_24h`.",
            "Compare [journal](operations.md#reading-the-journal) and history; `journal resolve` if "
            "you want it told.",
            once=True,
        ),
        fields=(
            "intent_id",
            "adjust_id",
            "ltv_after",
            "late",
            "row_awaited",
            "ret_code",
            "ret_msg",
            "product",
            "loan_id",
        ),
    ),
    event(
        "adjustment_confirmed",
        critical(
            "An adjustment that had been given up as absent did land. The loan may have got two.",
            "Look at the loan's LTV. Report it: the exchange was slower than `settlement` allows for.",
            case="with `late: true`",
            once=True,
        ),
        info(
            "Its row is in the history; or, with `row_awaited: true`, its coins have moved and "
            "the row is still to come.",
        ),
        fields=(
            "intent_id",
            "adjust_id",
            "ltv_after",
            "late",
            "row_awaited",
            "ret_code",
            "ret_msg",
            "product",
            "loan_id",
        ),
    ),
    event(
        "adjustment_rejected",
        critical(
            "The exchange refused it, and it concerns the key, the account, or a liquidation under "
            "way. A *transfer* that the key may not make does not stop the account: adding goes on, "
            "the coin is tried again each minute at most, and each try says so.",
            '`ret_msg`. See `needs_human`. For a transfer: give the key "Account Transfer", or switch '
            "`sources.unified_transfer` off. If it is being liquidated, look in the app.",
            once=True,
        ),
        error(
            "Refused, provably without effect. That coin of that loan rests, and a pool goes on with "
            "its next coin: [the exchange's codes](operations.md#the-exchanges-codes).",
            "`remedy` says what has to change. *read balance and maximum again*: is the Funding "
            "wallet empty? *the platform takes no more of this coin*: add another by hand, or repay. "
            "*the same body will never be accepted*: report it.",
        ),
        fields=(
            "intent_id",
            "adjust_id",
            "ltv_after",
            "late",
            "row_awaited",
            "ret_code",
            "ret_msg",
            "product",
            "loan_id",
            "remedy",
        ),
    ),
    event(
        "rescue_sent",
        warning(
            "The one rescue add left: the loan is in danger and the end of `rescue_of`, the "
            "adjustment before, is not known. If both land, the LTV still stays above "
            "`reduce.trigger_ltv`. Beside a release further ones may follow: `rescue_of` is the one before.",
        ),
        fields=("rescue_of", "product", "loan_id", "intent_id", "direction", "coin", "amount", "ltv"),
    ),
    event(
        "adjustment_unknown",
        warning(
            "No usable answer (timeout, HTTP 5xx, limit, a code that proves nothing), or found *sent* "
            "at start. It is looked up in the history.",
            "Nothing. With the defaults, and a history that can be read, it takes up to half a minute.",
        ),
        fields=("intent_id", "ret_code", "ret_msg", "why", "product", "loan_id"),
    ),
    event(
        "adjustment_absent",
        warning(
            "Provably without effect.",
            "Nothing: it is planned anew if it is still needed.",
        ),
        fields=(
            "intent_id",
            "adjust_id",
            "ltv_after",
            "late",
            "row_awaited",
            "ret_code",
            "ret_msg",
            "product",
            "loan_id",
        ),
    ),
    event(
        "adjustment_withdrawn",
        warning(
            "It never left. `why`: paused, shutting down, facts too old, no connection, written down too "
            "slowly, found planned, the journal had failed.",
            'Nothing. "Too old" often: see [intervals](operations.md#intervals-and-limits). "It took ... to '
            'write it down" often: the disk (the database) of the journal is too slow.',
        ),
        fields=("intent_id", "why", "product", "loan_id"),
    ),
    event(
        "adjustment_put_off",
        warning(
            "Something that planning needed could not be read. Or (a coarse coin under a small cap) "
            "every amount that may be sent is in use by an adjustment that is not settled, and its "
            "history could not tell the two apart: `why` says which. That one is waited for, no "
            "other.",
            "Nothing; if it is told often, raise `limits.max_add` for that coin.",
        ),
        fields=("why",),
    ),
    event(
        "adjustment_resolved",
        warning(
            "Somebody said by `journal resolve` how an adjustment ended.",
        ),
        fields=("intent_id", "intent_state", "was", "product", "loan_id"),
    ),
    event(
        "amount_bounded",
        warning(
            "The exchange refused an amount as too fine, too large or too small. The next is "
            "`next_amount`, at once.",
            "Nothing. If it repeats for a coin, report it.",
        ),
        fields=("coin", "next_amount", "product", "loan_id", "direction"),
    ),
    event(
        "coin_refused",
        warning(
            "The exchange answered with a code that is in [no "
            "table](operations.md#the-exchanges-codes) (`ret_code`), and nothing was done: the next "
            "coin has its turn.",
            "Look up the code at the exchange, and report it.",
        ),
        fields=("coin", "ret_code", "why", "product", "loan_id", "direction"),
    ),
    event(
        "adjustment_planned",
        info(
            "It is decided on; it is signed and written down next.",
        ),
        fields=OF_A_WRITE,
    ),
    event(
        "adjustment_sent",
        info(
            "It is signed and written down as sent; it leaves now.",
        ),
        fields=OF_A_WRITE,
    ),
    event(
        "adjustment_accepted",
        info(
            "The exchange took it, and gave it an id (none to a repayment with collateral).",
        ),
        fields=("intent_id", "adjust_id"),
    ),
)
