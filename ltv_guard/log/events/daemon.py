"""Events of the process, its configuration and its cycles. Data only."""

from __future__ import annotations

from ltv_guard.log.events.event import critical, debug, error, event, info, warning

DAEMON = (
    event(
        "start_failed",
        critical(
            "`run` could not begin, and has ended with exit status 1 or 2: `why` is a sentence that names "
            "the key, the file or the journal. This process guards nothing.",
            "Mend it, `ltv-guard check`, and start it again.",
            once=True,
        ),
        fields=("why",),
    ),
    event(
        "daemon_stuck",
        critical(
            "The watchdog ended the daemon, with exit status 3: `why` says what stood still, `stacks` "
            "where each task and each thread stood, innermost last.",
            "Whatever runs it starts it again ([a daemon that hangs](operations.md#a-daemon-that-hangs)): "
            "look whether `cycle_finished` goes on. Report it with `stacks`.",
            once=True,
        ),
        fields=("why", "stacks"),
    ),
    event(
        "cycle_failed",
        critical(
            "A bug that came again at once, `times` by now: the account is not guarded. "
            "`cycle_works_again` ends it.",
            "Report it, and watch the loans by hand.",
        ),
        error(
            "A bug, with its traceback (once for each place). The next cycle of that account runs.",
            "Report it.",
        ),
        fields=("why", "times", "exception"),
    ),
    event(
        "cycle_works_again",
        warning(
            "The end of a CRITICAL `cycle_failed`.",
        ),
        fields=("times",),
    ),
    event(
        "defect",
        critical(
            "An error of ours, contained: `what` it was in, `why`, and its traceback the first time. "
            "It cost what it was in (words, one coin, one kind of help), and the guard went on to the "
            "next.",
            "Report it with the traceback. Look whether `cycle_finished` goes on.",
        ),
        fields=("what", "why", "what_to_do", "exception"),
    ),
    event(
        "too_little_cpu",
        warning(
            "More accounts are near their triggers than this process has CPU for: `waiting` stand in line to "
            "be looked at, the first of them for `seconds`. The most endangered goes first.",
            "Give the process a core of its own, or have fewer accounts in it ([sizing](fleet.md#sizing)).",
        ),
        fields=("waiting", "seconds"),
    ),
    event(
        "cpu_suffices",
        info(
            "The end of `too_little_cpu`: an account near its trigger was looked at without waiting, a "
            "minute later or more.",
        ),
    ),
    event(
        "out_of_descriptors",
        critical(
            "This process (or the machine) has no file descriptor left, so that no connection can be "
            "made and nothing sent. `why` names the limit. At its start the daemon raises its own "
            "limit as far as the system lets it.",
            "Raise `LimitNOFILE` (`ulimit -n`, Docker's `--ulimit nofile`), or find what else uses "
            "them. It goes on by itself (`descriptors_available`).",
        ),
        fields=("why",),
    ),
    event(
        "descriptors_available",
        warning(
            "The end of `out_of_descriptors`.",
        ),
    ),
    event(
        "config_refused",
        error(
            "After a SIGHUP: the configuration can't be used, or what is new in it (a key, a host, a "
            "journal) does not work; `why` says what. The old one stays in force, and never stopped.",
            "Mend it, and send SIGHUP again.",
        ),
        fields=("why", "kept", "exception"),
    ),
    event(
        "config_reloaded",
        warning(
            "After a SIGHUP: the configuration is good. `changed` says what differs, a line a key; "
            "empty: nothing does, and nothing happens. `why` tells what of before could not be "
            "closed.",
        ),
        fields=("changed", "why"),
    ),
    event(
        "deadman_unreachable",
        error(
            "The dead man's switch did not hear a signal (`why`): it is tried again every ten seconds. Said "
            "once, until `deadman_reachable`.",
            "Look at the URL in `deadman.url_file` and at the network: it will raise its alarm.",
        ),
        fields=("why",),
    ),
    event(
        "deadman_reachable",
        info(
            "The end of `deadman_unreachable`.",
        ),
    ),
    event(
        "notices_held_up",
        warning(
            "A notification did not reach its `recipient`. It waits in the journal, and is tried again "
            "after 5, 10, 20 s ... 10 min. Said once, until `notices_arrive_again`.",
            "`ltv-guard notify --test`; look at the URL in the target's `url_file`, and at the network.",
        ),
        fields=("recipient",),
    ),
    event(
        "notices_arrive_again",
        info(
            "The end of `notices_held_up`. What waited is told as one where it is much.",
        ),
        fields=("recipient",),
    ),
    event(
        "http_not_served",
        warning(
            "Nothing is served over HTTP: the `port` is in use, or `host` is no address of this machine "
            "(`why`). The guard goes on, and tries again each minute.",
            "Set `http.port` or `http.host`, or `http.enabled: false`, and send SIGHUP.",
        ),
        fields=("host", "port", "why"),
    ),
    event(
        "http_served",
        info(
            "Where health, metrics, status and the page are served from now on.",
        ),
        fields=("host", "port"),
    ),
    event(
        "shutdown_timed_out",
        error(
            "The stop did not wait long enough for the request in flight.",
            "Nothing: the next start settles it. If it repeats, raise `shutdown_timeout_s` and the "
            "container's stop timeout.",
        ),
        fields=("tasks",),
    ),
    event(
        "log_lines_dropped",
        warning(
            "Nobody took log lines fast enough (or the disk was full): `count` were dropped, debug "
            "and info first. Guarding went on.",
            "What reads the log? [The journal](operations.md#the-journal), *full disk*.",
        ),
        fields=("count",),
    ),
    event(
        "log_line_unreadable",
        error(
            "One log line could not be put into JSON, and is lost. `why` is the kind of error.",
            "Report it.",
        ),
        fields=("why",),
    ),
    event(
        "setting_matches_nothing",
        warning(
            "Told after a start, when nothing presses: `key` is a limit on a coin that the exchange "
            "does not have, or an override for a loan that it does not show (`why`). It protects "
            "nothing. With several `account`s, it matches in none of them.",
            "Mend the name, or take it out.",
        ),
        fields=("key", "why"),
    ),
    event(
        "settings_not_compared",
        debug(
            "What of the configuration matches nothing could not be looked up.",
            "Nothing: it is tried again.",
        ),
        fields=("why",),
    ),
    event(
        "permissions_too_wide",
        warning(
            "Told at each start: everybody on this machine may read or change the secret, or change "
            "the configuration or the journal's folder (its group, too) (`key`, `path`, `why`).",
            "`chmod` as `ltv-guard check` says. In Kubernetes give the secret's volume `defaultMode: "
            "0400` and an `fsGroup`.",
        ),
        fields=("key", "path", "why"),
    ),
    event(
        "cycle_finished",
        warning(
            "The heartbeat of a cycle that could not see (`outcome`: `blind`), or saw one product and "
            "not the other (`partial`).",
            "See `guard_blind`.",
        ),
        info(
            "The heartbeat, after each cycle. `outcome` is one word: `ok`; `slow` (what was read was "
            "too old to be acted on, or all of it took too long to read: see `guard_slow`); "
            "`dry_run`, `paused`, `needs_human`, or `waiting` (a journal that is new or restored). "
            "`critical` names what is wrong now, of the account and of the daemon: empty while all is "
            "well.",
            "Alert when it stays away, and while `critical` is not empty: one rule.",
        ),
        fields=(
            *("loans", "worst_ltv", "actions", "duration_ms", "outcome", "open_intents"),
            *("mode", "critical", "ltvs"),
        ),
    ),
    event(
        "daemon_started",
        info(
            "At the start, and after a reload. `continuous: false` means that it waits once before it sends. "
            "`stream` is where prices come from, or `none`: loans are then looked at by the clock alone.",
        ),
        fields=("version", "mode", "environment", "exchange", "stream", "accounts", "journal", "continuous"),
    ),
    event(
        "daemon_stopped",
        info(
            "At its end, and in a reload.",
            "Nothing, if you did it.",
        ),
    ),
)
