"""Finishes what was left open: attempts without a definite answer, attempts whose process ended, refunds.

Every process runs it. `Postpone` gives each row to one process at a time, until its next try is due; the pauses grow.
Neighbours: `next_step` says how, `flow` records, `queries.open_payments` finds.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from stockade.core import Accepted, Command, Outcome
from stockade.core.clock import now_ms
from stockade.gateways import Approved, Declined, NotFound
from stockade.service.jobs import Counts
from stockade.shop.commands import Postpone
from stockade.shop.model import constants
from stockade.shop.payments.flow import Payments, Read
from stockade.shop.payments.next_step import NextStep, after_not_found, first_step, pause_ms
from stockade.shop.queries.open_payments import OpenAttempt, OpenRefund, due_attempts, due_refunds

log = logging.getLogger(__name__)
BATCH: Final = 100  # of each kind in one round
AT_ONCE: Final = 16
NEEDS_DECISION: Final = "NEEDS_DECISION"
NEVER_ARRIVED: Final = "NEVER_ARRIVED"


class Reconciler:
    """Resolves open attempts and refunds.

    Args:
        payments: asks and records.
        execute: carries out a command, `Shop.execute`.
        read: runs a query, `Shop.read`.
        clock_ms: wall clock in milliseconds since 1970.
    """

    def __init__(
        self,
        payments: Payments,
        execute: Callable[[Command], Awaitable[Outcome]],
        read: Read,
        clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self._payments, self._execute, self._read, self._clock_ms = payments, execute, read, clock_ms

    async def once(self) -> Counts:
        """One round.

        Returns:
            How many were `found`, and of these `settled`, `left_open`, given `to_a_person`, acted on `elsewhere`, or
            `failed` (the next round finds them again).
        """
        at_ms = self._clock_ms()
        attempts = await self._read(lambda connection: due_attempts(connection, now_ms=at_ms, limit=BATCH))
        refunds = await self._read(lambda connection: due_refunds(connection, now_ms=at_ms, limit=BATCH))
        slots = asyncio.Semaphore(AT_ONCE)

        async def within(work: Callable[[], Awaitable[str]]) -> str:
            async with slots:
                return await work()

        ends = await asyncio.gather(
            *(within(lambda each=each: self._attempt(each)) for each in attempts),  # type: ignore[misc]
            *(within(lambda each=each: self._refund(each)) for each in refunds),  # type: ignore[misc]
            return_exceptions=True,
        )
        counts = {"found": len(ends), "settled": 0, "left_open": 0, "to_a_person": 0, "elsewhere": 0, "failed": 0}
        for end in ends:
            if isinstance(end, BaseException):
                log.warning("a payment could not be reconciled, the next round tries again: %r", end)
            counts[end if isinstance(end, str) else "failed"] += 1
        return counts

    async def resolve(self, found: OpenAttempt) -> str:
        """Find out what became of an attempt now, whether or not it is due.

        Returns:
            `settled` or `left_open`.
        """
        state, gateway = found.state, self._payments.gateway
        step = first_step(state, gateway.capabilities, self._clock_ms())
        if step is NextStep.LEAVE_TO_A_PERSON:
            return "left_open"
        if step is NextStep.LOOK_UP:
            answer = await gateway.look_up(state.reference, state.gateway_id)
            if isinstance(answer, NotFound):
                step = after_not_found(state, gateway.capabilities, self._clock_ms(), wanted=found.wanted)
                if step is NextStep.DECLINE:
                    await self._payments.record(found.id, state, Declined(NEVER_ARRIVED))
                    return "settled"
            elif isinstance(answer, Approved | Declined):
                await self._payments.record(found.id, state, answer)
                return "settled"
        if step is NextStep.ASK_AGAIN:
            again = await self._payments.ask(found.id, state)
            if isinstance(again, Approved | Declined):
                await self._payments.record(found.id, state, again)
                return "settled"
        return "left_open"

    async def _attempt(self, found: OpenAttempt) -> str:
        at_ms, state = self._clock_ms(), found.state
        if state.gateway != self._payments.gateway.name:
            step = NextStep.LEAVE_TO_A_PERSON
        else:
            step = first_step(state, self._payments.gateway.capabilities, at_ms)
        person = step is NextStep.LEAVE_TO_A_PERSON
        until_ms = constants.NEVER if person else at_ms + self._payments.lease_ms + pause_ms(state.tries)
        code = NEEDS_DECISION if person else state.code
        claim = Postpone.at("attempt", found.id, state.tries, now_ms=at_ms, resolve_at_ms=until_ms, code=code)
        outcome = await self._execute(claim)
        if not isinstance(outcome, Accepted) or outcome.replayed:
            return "elsewhere"
        if person:
            log.error("payment %s needs the decision of a person: stockade payments list --unresolved", found.id)
            return "to_a_person"
        return await self.resolve(found)

    async def _refund(self, found: OpenRefund) -> str:
        done = await self._payments.refund(found.id)
        settled = done.data["status"] in (constants.REFUNDED, constants.REFUSED)
        return "settled" if settled else "left_open"
