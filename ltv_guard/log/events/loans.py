"""Events of single loans: what is shown of them, their terms and their ends. Data only."""

from __future__ import annotations

from ltv_guard.log.events.event import critical, debug, event, info, warning

LOANS = (
    event(
        "loan_set_aside",
        critical(
            "A loan's data makes no sense (`why`), so it is **not guarded**. The others are.",
            "Look at the loan in the app, and watch it by hand. If it looks right there, report it "
            "with `why`.",
        ),
        fields=("why", "product", "loan_id"),
    ),
    event(
        "loan_not_believed",
        critical(
            "After an adjustment, what is shown of the loan has made no sense for 4 x "
            "`history_lag_s`: old collateral, a change that no row explains, or an LTV that did not "
            "follow. Nothing is done about this loan. It ends by itself, after ten minutes at the "
            "latest; in an emergency an LTV that did not follow is believed sooner.",
            "Look at the loan in the app. Add by hand if it needs it.",
        ),
        fields=("why", "seconds", "ltv", "product", "loan_id"),
    ),
    event(
        "loan_contradicts_itself",
        critical(
            "The loan's LTV, its amounts and prices contradict each other by more than a quarter, in "
            "two reads made at once. `own_ltvs` is what its own numbers come to. It is helped within "
            "`wallet.reserve`, `wallet.max_add_24h` and the cooldown only, in small steps, after the "
            "other loans; nothing of it is released. `loan_agrees_again` (WARNING) tells the end.",
            "Look at the loan in the app, and act on what is true there.",
        ),
        fields=("why", "ltv", "own_ltvs", "product", "loan_id"),
    ),
    event(
        "loan_overdue",
        critical(
            "A fixed loan was not repaid at its end (`expires_at`). Three times the interest runs, "
            "and at `liquidated_at`, 48 h after its end (24 h for one of a pool, which `contract` "
            "names), the exchange liquidates it, whatever its LTV. The guard goes on adding "
            "collateral where the LTV asks for it, but that does not save it. Loans with `protect: "
            "false` are told of too.",
            "Repay it in the exchange's app. `owed` is principal, interest and penalty, by coin.",
        ),
        fields=(
            "expires_at",
            "liquidated_at",
            "owed",
            "what_follows",
            "contract",
            "at_end",
            "product",
            "loan_id",
        ),
    ),
    event(
        "loan_liquidated",
        critical(
            "A loan is no longer listed, and was liquidated. `read: true`: the exchange says so (an "
            "order's status; the type of a pool's last repayment: 2 by liquidation, 6 by delayed "
            "liquidation). `read: false`: it did not tell, and it is a conclusion: the last LTV was "
            "within 3 % of the liquidation LTV, or 48 h have passed since its end.",
            "What it held is gone. Look at the account in the app, and with `ltv-guard plan` whether its "
            "other loans have what they need; then acknowledge it.",
            once=True,
        ),
        fields=("why", "read", "last_ltv", "product", "loan_id"),
    ),
    event(
        "loan_gone",
        warning(
            "No longer listed, in two reads. `why` is what the exchange says of its end (repaid; by "
            "delisting, with collateral), where it does.",
            "Nothing, if it was repaid. A fall that was faster than the polls can also end like this.",
        ),
        fields=("why", "last_ltv", "product", "loan_id"),
    ),
    event(
        "loan_readable_again",
        warning(
            "The end of `loan_set_aside`: it is guarded again.",
        ),
        fields=("product", "loan_id"),
    ),
    event(
        "loan_believed_again",
        warning(
            "The end of `loan_not_believed`: it makes sense again.",
        ),
        fields=("product", "loan_id"),
    ),
    event(
        "loan_agrees_again",
        warning(
            "The end of `loan_contradicts_itself`: five decisions in a row on numbers that agree.",
        ),
        fields=("ltv", "product", "loan_id"),
    ),
    event(
        "odd_read",
        warning(
            "One read showed the loan's LTV as `odd_ltv`, and a second one, made at once, as `ltv`: "
            "the second counts.",
            "Nothing. If it repeats, report it to the exchange.",
        ),
        fields=("why", "ltv", "odd_ltv", "product", "loan_id"),
    ),
    event(
        "loan_shown_as_before",
        warning(
            "The exchange shows the loan exactly as it was before an adjustment that it had shown "
            "already: an old replica answered. It is read again at once, and not acted on. "
            "`loan_shown_as_it_is` (INFO) tells the end.",
            "Nothing; if it lasts, `loan_not_believed` follows.",
        ),
        fields=("why", "product", "loan_id"),
    ),
    event(
        "maturity_near",
        warning(
            "A fixed loan ends in `seconds_left`, at `expires_at`; once at each of "
            "`policy.maturity_notice_s`, and once more after a start (so with each `run --once`). "
            "`owed` is what it takes to repay it now, by coin. Of a pool's fixed loan (`contract`) `at_end` "
            "says what the exchange does then.",
            "Repay it in the exchange's app before then; or, with `at_end: repaid`, have the coins in the "
            "Funding wallet.",
        ),
        fields=(
            "expires_at",
            "seconds_left",
            "owed",
            "what_follows",
            "contract",
            "at_end",
            "product",
            "loan_id",
        ),
    ),
    event(
        "fixed_loan_not_repaid",
        critical(
            "A fixed loan of the pool (`contract`) goes overdue at `expires_at`, or is overdue, and "
            "something keeps `policy.repay_fixed` from repaying it: `why` says what. Once its grace of "
            "24 h is over the pool is liquidated for it.",
            "Have what it owes (`owed`) in the Funding wallet, or repay it in the exchange's app.",
        ),
        fields=("contract", "coin", "owed", "expires_at", "why", "product", "loan_id"),
    ),
    event(
        "terms_changed",
        warning(
            "The exchange moved its margin-call or liquidation LTV: for the `loans` orders with this "
            "collateral `coin`, or for all of them because your VIP level changed. It may have been "
            "so for up to an hour. `margin_call_ltv` and `liquidation_ltv` are the new ones, "
            "`..._before` the old ones. Not told: a change while no daemon ran.",
            "Are your thresholds still right? `ltv-guard plan`.",
        ),
        fields=(
            "product",
            "coin",
            "loans",
            "margin_call_ltv",
            "margin_call_ltv_before",
            "liquidation_ltv",
            "liquidation_ltv_before",
        ),
    ),
    event(
        "collateral_sold",
        warning(
            "A repayment with collateral took more than `policy.repay_with_collateral.max_fee`, as far as "
            "the prices of before and after it tell: `fee` is the least that they leave possible. Amounts "
            "were sized by `max_fee`, so that it may take a step more. Told once the same has been shown for "
            "twice `settlement.history_lag_s` (a hand may have moved collateral as well), and of several in "
            "a row of the last one.",
            "Compare the repayment in the exchange's app. If it charges so much, raise `max_fee`, or switch "
            "`policy.repay_with_collateral` off.",
        ),
        info(
            "What a repayment with collateral took. No answer and no row of the exchange says so: it is "
            "reckoned from what the loan held before and after, and from prices.",
        ),
        fields=(
            *("intent_id", "coin", "repaid", "collateral_coin", "sold", "fee", "max_fee", "cost_usd"),
            *("why", "product", "loan_id"),
        ),
    ),
    event(
        "collateral_limit",
        warning(
            "The pool as a whole shows that the platform takes no more collateral (`additions: "
            "refused`), is near its limit (`nearly full`), or does not say (`unknown`). The limits "
            "are of single coins, and this names none: it keeps nothing from being tried. "
            "`collateral_taken_again` (INFO) tells its end.",
            "Have a second coin in `collateral_preference` and in the wallet. Be ready to repay by hand.",
        ),
        fields=("additions", "product", "loan_id"),
    ),
    event(
        "collateral_taken_again",
        info(
            "The end of `collateral_limit`: the platform takes more again.",
        ),
        fields=("product", "loan_id"),
    ),
    event(
        "loan_shown_as_it_is",
        info(
            "The end of `loan_shown_as_before`.",
        ),
        fields=("product", "loan_id"),
    ),
    event(
        "end_not_read",
        debug(
            "How a loan ended could not be asked: `loan_gone` or `loan_liquidated` tells what can be "
            "concluded.",
        ),
        fields=("why",),
    ),
)
