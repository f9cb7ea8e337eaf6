"""Events of reads and of the line to the exchange. Data only."""

from __future__ import annotations

from ltv_guard.log.events.event import critical, debug, event, info, warning

EXCHANGE = (
    event(
        "guard_blind",
        critical(
            "The loans (`what` is the product) or the key (`what: account`) could not be read for "
            "`blind_after_cycles` cycles: **nothing is sent**. Where later pages of the list fail alone, "
            "that goes for the loans on them that were not seen for so long (`loan_ids`, ten at most): the "
            "others are guarded. Where no list was whole since the start, of the loans on such pages only "
            "those are guarded that the journal tells of (adjusted within a day). "
            "`mend` says what to do, where that is known.",
            "Look after the loans by hand, and read `why`. A key's code (10003, 10004, 10010, 33004): "
            "[keys](operations.md#keys). HTTP 5xx or no answer: the exchange or the network. HTTP 403: "
            "[ban](operations.md#bans).",
        ),
        fields=("what", "cycles", "why", "mend", "loan_ids"),
    ),
    event(
        "guard_slow",
        critical(
            "What could be read of a loan was older than `max_snapshot_age_s` when it was to be acted "
            "on, and it stands above its trigger. `age_ms` is how old what was read (`what`) was, "
            "`longest_ms` how old it may be; `loan_ids` names the loans, ten at most.",
            "Add by hand. The exchange or the line to it is slow: look at its status page. "
            "`max_snapshot_age_s` may be raised, to no more than you would trust.",
        ),
        warning(
            "Reading all loans takes longer than `max_snapshot_age_s`. A loan that needs help is read "
            "again by its id, and helped; releases wait. CRITICAL once a breach stands unanswered "
            "for it. `guard_in_time` (INFO) tells the end.",
            "Nothing while it passes; else look at the exchange's status page.",
        ),
        fields=("what", "why", "age_ms", "longest_ms", "loan_ids"),
    ),
    event(
        "loans_wait_for_turns",
        warning(
            "Loans in breach wait for their turns to write, one of them for more than 5 s since it was "
            "decided on: the exchange takes one adjustment a second, and answers may be slow. `loans`: how "
            "many wait; `loan_id`, `ltv` and `seconds`: the one that has waited longest, of several the most "
            "urgent. `why` says whether answers are slow. Said once, at the end of a cycle. "
            "`loans_wait_no_more` (INFO) tells the end.",
            "Nothing, if you can wait: the most urgent has each turn. An add by hand, in the exchange's app, "
            "helps a loan sooner.",
        ),
        fields=("loans", "ltv", "seconds", "why"),
    ),
    event(
        "exchange_banned",
        critical(
            "HTTP 403: no request for ten minutes, **no protection**.",
            "Look after the loans by hand, and find the cause: [Bans](operations.md#bans).",
            once=True,
        ),
        fields=("host", "seconds"),
    ),
    event(
        "guard_recovered",
        warning(
            "Sight is back after `guard_blind`.",
        ),
        fields=("what",),
    ),
    event(
        "read_failed",
        warning(
            "A first failed read; `what` is a product, `account`, `wallet`, `unified`, `prices`, or "
            "`loan` (one, by its id). `read_works_again` (INFO) tells its end. Where a later page of a "
            "list fails, the loans of those before are guarded, but for releases, and of the others "
            "a few in each cycle, read by their ids; where a list lacks one without a word, it is told "
            "once, and its end after five whole lists. A product whose list takes much longer than it did "
            "is read on while the other one is guarded. Without the wallet "
            "nothing is added; without prices nothing to a pool; without `unified` nothing is moved, "
            "and short of an emergency nothing is repaid.",
            "Nothing unless `guard_blind` follows. If `wallet` lasts: may the key read the Funding wallet?",
        ),
        fields=("what", "why", "mend"),
    ),
    event(
        "answer_odd",
        warning(
            "Something in an answer of the exchange makes no sense: at which `endpoint`, in which "
            "`row`, `why`, and what `follows`. It costs itself only: a wallet's coin counts as "
            "unread, a debt is not repaid, a coin is not added to, a row of a history is doubted "
            "(what was sent and may be that row stays open until it is read or resolved). Told once "
            "for each row; `answer_sound_again` (INFO) tells its end.",
            "Nothing, if it passes. If it stays, compare with the exchange's app and report it with "
            "`why`. Where an adjustment stays open for it (`adjustment_unsettled`), look it up in the "
            "app and use `journal resolve`.",
        ),
        fields=("endpoint", "row", "why", "follows"),
    ),
    event(
        "wallet_not_fresh",
        warning(
            "An emergency, and the Funding wallet does not answer: its last balance (`seconds` old), "
            "less what was spent since, counts. An overdraw is refused, and costs nothing. "
            "`wallet_fresh_again` (INFO) tells the end.",
        ),
        fields=("why", "seconds"),
    ),
    event(
        "price_doubted",
        warning(
            "The price of a `coin` parted by more than 10 % from the last one (`last_price`), and a "
            "second read showed it too. What it sizes leaves in steps of at most a tenth, for half a "
            "minute; a coin that is in the pool is sized by what the position itself says. "
            "`price_believed_again` (INFO) tells the end.",
            "Nothing, if the market moved so.",
        ),
        fields=("coin", "price", "last_price", "why"),
    ),
    event(
        "price_stream_lost",
        warning(
            "The stream of prices (`stream`) broke, fell silent or makes no sense (`why`). Loans are looked "
            "at as often as without it: each `poll_interval_s`, and each `fastest_poll_s` where their "
            "last LTV was near their trigger. Told once, until `price_stream_back` (INFO).",
            "Nothing, if it passes. If it stays: may this machine connect to `stream`?",
        ),
        fields=("stream", "why"),
    ),
    event(
        "read_works_again",
        info(
            "The end of `read_failed`; after `guard_blind` it is `guard_recovered`.",
        ),
        fields=("what", "failed"),
    ),
    event(
        "price_stream_back",
        info(
            "The end of `price_stream_lost`, which lasted `seconds`.",
        ),
        fields=("seconds",),
    ),
    event(
        "prices_crossed",
        debug(
            "Prices put these loans at their triggers. Nothing is sent for that: the exchange is asked for "
            "the loans, and their own LTVs decide.",
        ),
        fields=("loan_ids",),
    ),
    event(
        "account_armed",
        debug(
            "A loan of the account is near its trigger, or its price falls fast: it is looked at each "
            "`poll_s` seconds.",
        ),
        fields=("poll_s",),
    ),
    event(
        "account_calm",
        debug(
            "The end of `account_armed`.",
        ),
        fields=("poll_s",),
    ),
    event(
        "guard_in_time",
        info(
            "The end of `guard_slow`.",
        ),
    ),
    event(
        "loans_wait_no_more",
        info(
            "The end of `loans_wait_for_turns`: no loan in breach waits for that long any more. `seconds`: "
            "how long ago the first of them was decided on.",
        ),
        fields=("seconds",),
    ),
    event(
        "answer_sound_again",
        info(
            "The end of `answer_odd`.",
        ),
        fields=("endpoint", "row"),
    ),
    event(
        "wallet_fresh_again",
        info(
            "The end of `wallet_not_fresh`.",
        ),
    ),
    event(
        "price_believed_again",
        info(
            "The end of `price_doubted`.",
        ),
        fields=("coin", "price"),
    ),
)
