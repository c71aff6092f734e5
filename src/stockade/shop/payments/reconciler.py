"""Finishes what was left open: attempts without a definite answer, attempts whose process ended, refunds.

Every process runs it. `Postpone` gives each row to one process at a time, until its next try is due; the pauses grow.
Neighbours: `next_step` says how, `flow` and `refund_flow` record, `open_payments` finds.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from stockade.core import Accepted
from stockade.gateways import Approved, Declined, NotFound
from stockade.service.jobs import Counts
from stockade.shop.commands import Postpone
from stockade.shop.model import constants
from stockade.shop.payments.calls import NEEDS_DECISION
from stockade.shop.payments.flow import Payments
from stockade.shop.payments.next_step import NextStep, after_not_found, first_step, pause_ms
from stockade.shop.payments.open_payments import (
    Due,
    OpenAttempt,
    OpenRefund,
    attempt,
    due_attempts,
    due_refunds,
    refund,
)

__all__ = ["NEEDS_DECISION", "NEVER_ARRIVED", "Reconciler"]

log = logging.getLogger(__name__)
BATCH: Final = 100  # of each kind in one round
AT_ONCE: Final = 16
NEVER_ARRIVED: Final = "NEVER_ARRIVED"


class Reconciler:
    """Resolves open attempts and refunds.

    Args:
        payments: asks and records; its clock says what is due.
    """

    def __init__(self, payments: Payments) -> None:
        self._payments, self._calls = payments, payments.calls

    async def once(self) -> Counts:
        """One round.

        Returns:
            How many were `found`, and of these `settled`, `left_open`, given `to_a_person`, acted on `elsewhere` (of
            refunds: `left_open`), or `failed` (the next round finds them again).
        """
        read, due = self._calls.read, Due(self._payments.gateway.name, self._calls.clock_ms(), BATCH)
        attempts = await read(lambda connection: due_attempts(connection, due))
        refunds = await read(lambda connection: due_refunds(connection, due))
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

    async def resolve(self, found: OpenAttempt, *, until_ms: int = 0) -> str:
        """Find out what became of an attempt now, whether or not it is due.

        Args:
            found: open or settled.
            until_ms: until when the caller alone may ask for it, milliseconds since 1970; 0: it may only look up.

        Returns:
            `settled`, `left_open`, or `elsewhere`: another process has recorded an answer before.
        """
        state, gateway, calls = found.state, self._payments.gateway, self._calls
        step = first_step(state, gateway, calls.clock_ms())
        if step is NextStep.LOOK_UP:
            call = gateway.look_up(state.reference, state.gateway_id, state.payment_key)
            answer = await calls.bounded(call, f"payment {found.id}")
            if isinstance(answer, NotFound):
                step = after_not_found(state, gateway.capabilities, calls.clock_ms(), wanted=found.wanted)
            elif isinstance(answer, Approved | Declined):
                return await self._record(found, answer)
        if step is NextStep.DECLINE:
            return await self._record(found, Declined(NEVER_ARRIVED))
        if step is NextStep.ASK_AGAIN and calls.may_ask(until_ms):
            again = await self._payments.ask(found.id, state)
            if isinstance(again, Approved | Declined):
                return await self._record(found, again)
        return "left_open"

    async def _record(self, found: OpenAttempt, answer: Approved | Declined) -> str:
        outcome = await self._payments.record(found.id, found.state, answer)
        return "settled" if isinstance(outcome, Accepted) and not outcome.replayed else "elsewhere"

    async def _attempt(self, found: OpenAttempt) -> str:
        calls, state = self._calls, found.state
        at_ms = calls.clock_ms()
        if first_step(state, self._payments.gateway, at_ms) is NextStep.LEAVE_TO_A_PERSON:
            given = await calls.leave_to_a_person("attempt", found.id, state.tries)
            return "to_a_person" if given else "elsewhere"
        until_ms = at_ms + calls.lease_ms + pause_ms(state.tries)
        claim = Postpone.at("attempt", found.id, state.tries, now_ms=at_ms, resolve_at_ms=until_ms, code=state.code)
        outcome = await calls.execute(claim)
        if not isinstance(outcome, Accepted) or outcome.replayed:
            return "elsewhere"
        # a round may be long: what was cancelled since it began is not asked for again
        now = await calls.read(lambda connection: attempt(connection, found.id))
        return await self.resolve(found._replace(wanted=now is not None and now.wanted), until_ms=until_ms)

    async def _refund(self, found: OpenRefund) -> str:
        done = await self._payments.refund(found.id)
        if done.data["status"] in (constants.REFUNDED, constants.REFUSED):
            return "settled"
        now = await self._calls.read(lambda connection: refund(connection, found.id))
        given = now is not None and (now.state.status, now.state.resolve_at_ms) == (constants.UNKNOWN, constants.NEVER)
        return "to_a_person" if given else "left_open"
