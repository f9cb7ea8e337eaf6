"""The readers of one account, put together."""

from __future__ import annotations

from ltv_guard.core.model.policy import Rulebook
from ltv_guard.core.ports import Clock
from ltv_guard.guard.defects import Defects
from ltv_guard.guard.journal_trust import JournalTrust
from ltv_guard.guard.loan_news import LoanNews
from ltv_guard.guard.reads.attempts import Attempts
from ltv_guard.guard.reads.balances import Balances
from ltv_guard.guard.reads.closer_look import CloserLook
from ltv_guard.guard.reads.contracts import ContractReads
from ltv_guard.guard.reads.haste import Haste
from ltv_guard.guard.reads.histories import Histories
from ltv_guard.guard.reads.last_lists import LastLists
from ltv_guard.guard.reads.late_lists import LateLists
from ltv_guard.guard.reads.loans import LoanReads
from ltv_guard.guard.reads.loans_at_once import LoansAtOnce
from ltv_guard.guard.reads.next_list import NextList
from ltv_guard.guard.reads.prices import Prices
from ltv_guard.guard.reads.recalled_loans import RecalledLoans
from ltv_guard.guard.reads.unseen_loans import UnseenLoans
from ltv_guard.guard.reads.urgent_loans import UrgentLoans
from ltv_guard.guard.snapshot import GuardOptions
from ltv_guard.guard.state.memory import Memory
from ltv_guard.guard.surroundings import AccountPorts, Surroundings
from ltv_guard.guard.words import Words


class Reads:
    """`news` hears of every complete read of the loans."""

    def __init__(
        self,
        options: GuardOptions,
        exchange: AccountPorts,
        clock: Clock,
        memory: Memory,
        news: LoanNews,
        words: Words,
        *,
        urgent: UrgentLoans,
    ) -> None:
        attempts = Attempts(words.alerts, words.defects)
        self._news = news
        longest_ms = options.max_snapshot_age_ms
        self.loans = LoanReads(
            exchange.by_product,
            clock,
            attempts,
            urgent,
            lists=LateLists(clock, wait_s=options.short_wait_s, grace_s=options.grace_s),
            news=news,
            words=words,
        )
        self.histories = Histories(
            exchange.paths, memory.shelf, clock, words.alerts, words.defects, longest_ms=longest_ms
        )
        self.prices = Prices(exchange.account, attempts, short_wait_s=options.short_wait_s)
        self.balances = Balances(
            exchange.account,
            attempts,
            memory.last_known,
            clock,
            words.alerts,
            short_wait_s=options.short_wait_s,
        )
        shelf, timing = memory.contracts, options.timing
        self.contracts = ContractReads(exchange, shelf, attempts, clock, timing, words.defects)
        self.closer_look = CloserLook(self.balances, self.prices, self.histories, options)

    async def close(self) -> None:
        """Ends what is still being read for the next cycle, and waits for the ends of loans."""
        await self.loans.close()
        await self._news.close()
        await self.contracts.close()
        await self.balances.close()
        await self.histories.close()


def urgent_loans(
    options: GuardOptions,
    around: Surroundings,
    memory: Memory,
    rulebook: Rulebook,
    trust: JournalTrust,
    defects: Defects,
) -> UrgentLoans:
    """What reads first whom prices or a page put at its trigger."""
    last = LastLists(
        around.clock,
        rulebook.is_in_need,
        longest_ms=options.max_snapshot_age_ms,
        apart_ms=options.poll_interval_ms,
    )
    recalled = RecalledLoans(memory.intents, memory.loans, rulebook.default.add.trigger_ltv)
    return UrgentLoans(
        around.clock,
        defects,
        last=last,
        haste=Haste(last, memory.intents.none_is_open, trust.adjusted_since),
        following=NextList(around.clock, memory.intents.nothing_sent_since),
        at_once=LoansAtOnce(around.clock, memory.intents.nothing_sent_since),
        unseen=UnseenLoans(memory.loans, rulebook.gap, defects, recalled.gaps),
    )
