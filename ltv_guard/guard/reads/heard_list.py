"""A list of loans that is being read: its pages so far, and whom they newly show in need."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from ltv_guard.core.model.loan_book import LoanBook
from ltv_guard.core.model.loans import Loan, LoanKey
from ltv_guard.guard.reads.last_lists import LastLists
from ltv_guard.guard.reads.next_list import Begun


@dataclass(slots=True)
class HeardList:
    """Of one cycle. Of one that was begun before no page is heard. `is_kept`: the next cycle takes it."""

    begun: Begun
    pages: list[LoanBook] = field(default_factory=list)
    is_kept: bool = False
    _shown: dict[LoanKey, Loan] = field(default_factory=dict)
    _looked_at: int = 0

    @property
    def whole(self) -> asyncio.Future[LoanBook]:
        """All of it, once it has come."""
        return self.begun.list

    def look(self, last: LastLists) -> set[LoanKey]:
        """Whom the new pages show in need. Who was so before has had its turn in the cycle that saw it."""
        found: dict[LoanKey, Loan] = {}
        for page in self.pages[self._looked_at :]:
            found |= {loan.key: loan for loan in last.newly_in_need(page)}
        self._looked_at = len(self.pages)
        self._shown |= found
        return set(found)

    def in_need(self) -> list[LoanKey]:
        """All whom its pages have shown so, the worst first."""
        worst = sorted(self._shown.values(), key=lambda loan: loan.ltv, reverse=True)
        return [loan.key for loan in worst]

    async def end_or(self, news: asyncio.Event) -> None:
        """Waits for whichever comes first."""
        told = asyncio.ensure_future(news.wait())
        either: set[asyncio.Future[Any]] = {self.whole, told}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
