"""Events of a worker of a fleet. Data only."""

from __future__ import annotations

from ltv_guard.log.events.event import event, info, warning

FLEET = (
    event(
        "lease_lost",
        warning(
            "The lease of an account ran out, and another worker has it: this one guards it no more. This "
            "process, its machine or its way to PostgreSQL stood still for longer than `fleet.lease_s`.",
            "Find out what stood still. The account is guarded by the other worker ([a fleet](fleet.md)).",
        ),
        fields=("worker",),
    ),
    event(
        "lease_refused",
        warning(
            "A write for an account was refused, for its lease had run out or is another worker's: nothing "
            "was written and nothing sent. The leases are looked at at once: `lease_lost` follows where it "
            "is gone.",
            "As with `lease_lost`.",
        ),
        fields=("why",),
    ),
    event(
        "leases_not_given_back",
        warning(
            "A worker that ended, or had more than its share, could not give back what it held: others take "
            "it once the leases have run out.",
            "Nothing; look at PostgreSQL.",
        ),
        fields=("why",),
    ),
    event(
        "lease_taken",
        info(
            "This worker guards the account from now on. `orderly`: whoever held it before had nothing "
            "under way, so nothing is waited for; otherwise window and margin are, and the history is read.",
        ),
        fields=("worker", "epoch", "orderly"),
    ),
    event(
        "lease_given_back",
        info(
            "This worker guards the account no more: it ends, or another has too few.",
        ),
        fields=("worker", "epoch", "orderly"),
    ),
)
