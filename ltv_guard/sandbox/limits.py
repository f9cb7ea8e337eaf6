"""Rate limits: for each user id and endpoint (retCode 10006), and for each address (HTTP 403 and a ban)."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from dataclasses import dataclass
from decimal import Decimal

from ltv_guard.sandbox.scenario import LimitPlan

SECOND = Decimal(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What the answer's X-Bapi-Limit headers say; `wait_s` is 0 when the request is allowed."""

    limit: int
    left: int
    wait_s: Decimal

    @property
    def granted(self) -> bool:
        """Whether the request may be answered."""
        return self.wait_s == 0


class RateLimits:
    """Sliding windows. Refused requests don't count towards the window, but as violations."""

    def __init__(self, plan: LimitPlan) -> None:
        self.plan = plan
        self.violations: Counter[str] = Counter()
        self.banned_until: dict[str, Decimal] = {}
        self._by_user: defaultdict[tuple[str, str], deque[Decimal]] = defaultdict(deque)
        self._by_address: defaultdict[str, deque[Decimal]] = defaultdict(deque)

    def admits_address(self, address: str, now_s: Decimal) -> bool:
        """Counts a request of this address; False while it is banned. Asking during a ban is a violation."""
        if now_s < self.banned_until.get(address, Decimal(0)):
            self.violations["during_ban"] += 1
            return False
        seen = self._by_address[address]
        _forget(seen, now_s - self.plan.ip_window_s)
        if len(seen) >= self.plan.ip_requests:
            self.violations["ip"] += 1
            self.ban(address, now_s, self.plan.ban_s)
            return False
        seen.append(now_s)
        return True

    def ban(self, address: str, now_s: Decimal, seconds: Decimal) -> None:
        """Shuts an address out for so many seconds."""
        self.banned_until[address] = now_s + seconds

    def allow(self, user: str, endpoint: str, limit: int, now_s: Decimal) -> Allowance:
        """Counts a request of this user to this endpoint."""
        seen = self._by_user[user, endpoint]
        _forget(seen, now_s - SECOND)
        if len(seen) >= limit:
            self.violations[f"{user}:{endpoint}"] += 1
            return Allowance(limit=limit, left=0, wait_s=seen[0] + SECOND - now_s)
        seen.append(now_s)
        return Allowance(limit=limit, left=limit - len(seen), wait_s=Decimal(0))


def _forget(seen: deque[Decimal], until_s: Decimal) -> None:
    while seen and seen[0] <= until_s:
        seen.popleft()
