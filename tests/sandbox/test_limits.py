"""Rate limits count what was granted in the last second, and address limits end in a ban."""

from decimal import Decimal

from ltv_guard.sandbox.limits import RateLimits
from ltv_guard.sandbox.scenario import LimitPlan

D = Decimal


def test_one_write_a_second_for_each_user_and_endpoint() -> None:
    limits = RateLimits(LimitPlan())
    assert limits.allow("1", "adjust", 1, D(0)).granted
    assert limits.allow("2", "adjust", 1, D(0)).granted
    refused = limits.allow("1", "adjust", 1, D("0.4"))
    assert (refused.granted, refused.left, refused.wait_s) == (False, 0, D("0.6"))
    assert limits.allow("1", "adjust", 1, D(1)).granted
    assert limits.violations == {"1:adjust": 1}


def test_an_address_that_asks_too_often_is_banned_for_a_while() -> None:
    limits = RateLimits(LimitPlan(ip_requests=3, ban_s=D(10)))
    assert [limits.admits_address("a", D(at)) for at in range(4)] == [True, True, True, False]
    assert not limits.admits_address("a", D(12))
    assert limits.admits_address("b", D(12))
    assert limits.admits_address("a", D(13))
    assert limits.violations == {"ip": 1, "during_ban": 1}
