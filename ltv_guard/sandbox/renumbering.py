"""New ids for each start, as a new exchange would give: a journal from before must not know these loans."""

from __future__ import annotations

from ltv_guard.sandbox.faults import Fault
from ltv_guard.sandbox.scenario import Scenario


def renumbered(scenario: Scenario, time_ms: int) -> Scenario:
    """The same scenario, with order ids and user ids that no earlier start can have had."""
    orders = [order.order_id for plan in scenario.users.values() for order in plan.orders]
    ids = {old: str((time_ms << 20) + number) for number, old in enumerate(orders)}
    people = {user: f"{time_ms}{number:02d}" for number, user in enumerate(scenario.users)}
    return scenario.model_copy(
        update={
            "users": {
                user: plan.model_copy(
                    update={
                        "member_id": plan.member_id or people[user],
                        "orders": [
                            order.model_copy(update={"order_id": ids[order.order_id]})
                            for order in plan.orders
                        ],
                    }
                )
                for user, plan in scenario.users.items()
            },
            "keys": [key.model_copy(update={"user_id": people[key.user]}) for key in scenario.keys],
            "faults": [_of_the_same_loan(fault, ids) for fault in scenario.faults],
        }
    )


def _of_the_same_loan(fault: Fault, ids: dict[str, str]) -> Fault:
    named = fault.loan_id
    return fault.model_copy(update={"loan_id": ids[named]}) if named is not None and named in ids else fault
