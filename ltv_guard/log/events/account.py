"""Events of the account's key, of its own file, and of the kill switch. Data only."""

from __future__ import annotations

from ltv_guard.log.events.event import critical, debug, error, event, warning

ACCOUNT = (
    event(
        "needs_human",
        critical(
            "The exchange refused, for a reason that lies in the key or the account (`ret_code`): "
            "**nothing more is sent** for this account. The key is tried each minute, and "
            "sending goes on by itself when it answers well.",
            "Do what `mend` says, and add by hand meanwhile.",
        ),
        critical(
            "An adjustment of that product did the opposite of what was meant (the history's LTVs say "
            "so, and the loan does not show otherwise), or adds are refused as if they were "
            "releases, and no row of the history bears the directions out. Nothing more is sent for "
            "that product; the other goes on. `breach_unanswered` tells of its loans.",
            "Look at the adjustment in the exchange's app, and put right by hand what it did. "
            "`ltv-guard check` says what the history tells of the directions. An adjustment by hand "
            "that bears them out ends it (`human_not_needed`); otherwise report it, and guard these "
            "loans by hand.",
            case="with `product`",
        ),
        fields=("why", "mend", "ret_code", "product"),
    ),
    event(
        "key_expires",
        critical(
            "The API key ends within a day (`expires_at`, `seconds_left`); as WARNING 14, 7 and 3 "
            "days before. After it nothing is guarded.",
            "A new key for the same user, into the files of the old one; SIGHUP. "
            "[Keys](operations.md#keys). `key_renewed` (WARNING) ends it.",
        ),
        warning(
            "The API key ends at `expires_at`: told 14, 7 and 3 days before.",
            "Make a new key for the same user in time: [Keys](operations.md#keys).",
        ),
        fields=("expires_at", "seconds_left", "mend"),
    ),
    event(
        "human_not_needed",
        warning(
            "The end of `needs_human`: the key answers well, or the directions are borne out. Sending "
            "goes on.",
        ),
        fields=("why", "product"),
    ),
    event(
        "key_can_withdraw",
        warning(
            "Said at start: this key may withdraw funds.",
            'Make a key with "Spot trade" only: [Keys](operations.md#keys).',
        ),
        fields=("why",),
    ),
    event(
        "key_cannot_transfer",
        warning(
            "Said at start, live: `sources.unified_transfer` is enabled, and the key lacks the "
            "permission. Nothing will be moved.",
            'Give it "Account Transfer", or switch the transfers off: [Keys](operations.md#keys).',
        ),
        fields=("why",),
    ),
    event(
        "key_without_ip",
        warning(
            "Said at start, live: the key is bound to no address, and dies after 90 days.",
            "Bind it to your address: [Keys](operations.md#keys).",
        ),
        fields=("expires_at", "why"),
    ),
    event(
        "key_renewed",
        warning(
            "The end of `key_expires`: the key in use ends later, or never.",
        ),
        fields=("expires_at",),
    ),
    event(
        "guard_paused",
        warning(
            "A pause holds: nothing is sent. Told again each hour of it. `until`: it ends by itself then; "
            "without, only by hand.",
            "`resume` when you are done: [Pause](operations.md#pause-and-resume).",
        ),
        fields=("why", "scope", "until"),
    ),
    event(
        "guard_resumed",
        warning(
            "The pause was lifted.",
        ),
    ),
    event(
        "probe_failed",
        debug(
            "The key was tried again after `needs_human`, in vain.",
        ),
        fields=("why",),
    ),
    event(
        "key_not_asked_again",
        debug(
            "The hourly look at the key (VIP level, its end) failed.",
            "Nothing: tried again in an hour.",
        ),
        fields=("why",),
    ),
    event(
        "account_refused",
        critical(
            "A file of `accounts_dir` (`path`) can't be used, so that **nobody guards this account**; all "
            "others are guarded. `why` names file, line and key. Told at the start, and after a SIGHUP of an "
            "account that is new.",
            "Mend the file, and [send SIGHUP](operations.md#changing-the-configuration).",
        ),
        error(
            "After a SIGHUP: the account's file can't be used, or what is new in it (its key) does not work, "
            "and it goes on as it was before. Or two files, or a file and the configuration, name the same "
            "account, and one of them counts. Said again each hour.",
            "Mend the file, and send SIGHUP: at the next start the account may be unguarded.",
        ),
        fields=("path", "why"),
    ),
    event(
        "account_accepted",
        warning(
            "The end of `account_refused`: the file (`path`) can be used, or is gone.",
        ),
        fields=("path",),
    ),
)
