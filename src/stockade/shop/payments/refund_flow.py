"""One refund through a gateway: claim the time to ask, commit, ask or look up, record the answer.

A refund is a record that the command which owes it has written. Its id is its reference and key at the gateway.
Neighbours: `flow` begins it after the commit, `reconciler` repeats it, `next_step` says how.
"""

import logging
from typing import Final

from stockade.core import Accepted
from stockade.gateways import Approved, Declined, Money, Refund, Refunded, RefundFailed, Unknown
from stockade.gateways.gateway import RefundAnswer
from stockade.shop.commands import Postpone, SettleRefund
from stockade.shop.model import constants
from stockade.shop.payments.calls import Calls
from stockade.shop.payments.next_step import (
    RefundStep,
    not_shown_is_final,
    pause_ms,
    refund_is_due,
    refund_is_shown,
    refund_step,
)
from stockade.shop.payments.open_payments import OpenRefund, newest_refund, refunds_of

log = logging.getLogger(__name__)
ASKING: Final = "asking"
MAX_REASONS: Final = 1_000


class RefundFlow:
    """Carries out refunds, each by one process at a time."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._reasons: dict[str, str] = {}  # by refund: why the last try left it open, for the row at the next one

    async def carry_out(self, refund_id: str) -> Accepted:
        """Have one refund carried out, if it is due and no other process is at it.

        Args:
            refund_id: of the refund, or of one that was refused and that this one took the place of.

        Returns:
            The refund as it is then.

        Raises:
            StockadeError: as `Strategy.execute`.
        """
        calls = self._calls
        found = await calls.read(lambda connection: newest_refund(connection, refund_id))
        if found is None:  # archived, by which its payment is forgotten too: only a refund that is done is
            return Accepted({"refund_id": refund_id, "status": constants.REFUNDED})
        state, at_ms = found.state, calls.clock_ms()
        # a refund at another gateway waits for a process that uses that one
        if found.attempt.gateway != calls.gateway.name or not refund_is_due(state, at_ms):
            return _data(found, state.status)
        step = refund_step(state, found.attempt, calls.gateway, at_ms)
        if step is RefundStep.LEAVE_TO_A_PERSON:
            await calls.leave_to_a_person("refund", found.id, state.tries)
            return _data(found, constants.UNKNOWN)
        until_ms = at_ms + calls.lease_ms + pause_ms(state.tries)
        code = self._reasons.pop(found.id, "") or state.code or ASKING
        claim = Postpone.at("refund", found.id, state.tries, now_ms=at_ms, resolve_at_ms=until_ms, code=code)
        claimed = await calls.execute(claim)
        if not isinstance(claimed, Accepted) or claimed.replayed or not calls.may_ask(until_ms):
            return _data(found, constants.UNKNOWN)
        calls.reach("refund-after-claim")
        answer = await (self._ask(found) if step is RefundStep.ASK else self._look_up(found))
        recorded = await self._record(found, answer)
        return recorded or _data(found, constants.UNKNOWN)

    async def record_failed(self, refund_id: str, failed: RefundFailed) -> None:
        """Record that a refund came to nothing after it was made: it is REFUSED, and a person has to decide.

        A refund that was replaced meanwhile, or that a person has given back by hand, stays as it is.

        Raises:
            Pending, Unknown: see `Calls.persist`.
        """
        calls = self._calls
        settle = SettleRefund.of(
            refund_id, now_ms=calls.clock_ms(), refunded=False, gateway_id=failed.gateway_id, code=failed.code
        )
        outcome = await calls.persist(settle)
        if isinstance(outcome, Accepted) and not outcome.replayed:
            log.error("refund %s failed at %s: %s", refund_id, calls.gateway.name, failed)

    async def _ask(self, found: OpenRefund) -> RefundAnswer:
        state, calls = found.state, self._calls
        money = Money(state.amount, state.currency)
        asked = Refund(found.attempt.gateway_id, found.id, found.id, money, state.reason)
        calls.reach("refund-before-ask")
        answer = await calls.bounded(calls.gateway.refund(asked), f"refund {found.id}")
        calls.reach("refund-after-ask")
        return answer

    async def _look_up(self, found: OpenRefund) -> RefundAnswer:
        """Whether the payment shows the refund: what its gateway gave back is more than what is recorded."""
        calls, attempt = self._calls, found.attempt
        call = calls.gateway.look_up(attempt.reference, attempt.gateway_id, attempt.payment_key)
        answer = await calls.bounded(call, f"refund {found.id}")
        if not isinstance(answer, Approved):
            return Unknown(f"not looked up: {answer}")
        others = await calls.read(lambda connection: refunds_of(connection, found.state.payment_id))
        if refund_is_shown(answer.refunded, found.id, others):
            return Refunded("", Money(found.state.amount, found.state.currency))
        if not_shown_is_final(found.state, calls.clock_ms()):
            await calls.leave_to_a_person("refund", found.id, found.state.tries + 1)
        return Unknown("the payment does not show it")

    async def _record(self, found: OpenRefund, answer: RefundAnswer) -> Accepted | None:
        """Record an answer; None: there was no definite one."""
        calls, state = self._calls, found.state
        if isinstance(answer, Unknown):
            if len(self._reasons) < MAX_REASONS:
                self._reasons[found.id] = answer.reason
            log.warning("refund %s: no answer of %s: %s", found.id, found.attempt.gateway, answer.reason)
            return None
        if isinstance(answer, Refunded) and answer.money != Money(state.amount, state.currency):
            log.error("refund %s: %s gave back %s", found.id, found.attempt.gateway, answer.money)
            await calls.leave_to_a_person("refund", found.id, state.tries + 1)
            return None
        refunded = isinstance(answer, Refunded)
        if not refunded:
            log.error("refund %s was refused by %s: %s", found.id, found.attempt.gateway, answer)
        settle = SettleRefund.of(
            found.id,
            now_ms=calls.clock_ms(),
            refunded=refunded,
            gateway_id=answer.gateway_id if isinstance(answer, Refunded) else "",
            code=answer.code if isinstance(answer, Declined) else "",
        )
        calls.reach("refund-before-record")
        outcome = await calls.persist(settle)
        calls.reach("refund-after-record")
        return outcome if isinstance(outcome, Accepted) else None


def _data(found: OpenRefund, status: str) -> Accepted:
    return Accepted({"refund_id": found.id, "payment_id": found.state.payment_id, "status": status})
