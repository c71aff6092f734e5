"""What a person decides about a payment or a refund that no program can resolve.

The answer is recorded by the command that records a gateway's answer: the first one counts, and what follows from it is
the same. Neighbours: the command line calls it; `queries.unresolved_payments` lists what waits for it.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from stockade.core import Accepted, Command, Outcome
from stockade.core.clock import now_ms
from stockade.core.timestamps import rfc3339
from stockade.gateways import Approved, Money
from stockade.shop.commands import Postpone, RetryRefund, SettlePayment, SettleRefund
from stockade.shop.commands.payments.retry_refund import replacement_of
from stockade.shop.model import constants
from stockade.shop.model.states import AttemptState, RefundState
from stockade.shop.payments.calls import NEEDS_DECISION, Read
from stockade.shop.payments.flow import Payments
from stockade.shop.payments.next_step import NOT_FOUND_IS_FINAL_MS, not_to_be_retried
from stockade.shop.payments.open_payments import OpenRefund, attempt, refund, refunds_of

BY_A_PERSON: Final = "DECIDED_BY_A_PERSON"  # the code of such a decline
_AGAINST: Final = {True: (constants.DECLINED,), False: (constants.APPROVED, constants.UNFULFILLABLE)}

Execute = Callable[[Command], Awaitable[Outcome]]


class NotDecidable(Exception):
    """There is nothing for a person to decide; the message says why."""


async def decide_payment(execute: Execute, read: Read, payment_id: str, gateway_id: str | None) -> Outcome:
    """Record what a person found out about a payment. A charge behind a recorded decline is refunded.

    Args:
        execute: carries out a command.
        read: runs a query.
        payment_id: of the payment.
        gateway_id: the gateway's name of the charge; None: the buyer was not charged, and will not be.

    Returns:
        The outcome: APPROVED, DECLINED, or UNFULFILLABLE with the id of a refund that is owed.

    Raises:
        NotDecidable: there is no such payment, it is settled otherwise, or a reconciler is still at it.
        StockadeError: as `Strategy.execute`.
    """
    found = await read(lambda connection: attempt(connection, payment_id))
    if found is None:
        if await read(lambda connection: refund(connection, payment_id)) is not None:
            raise NotDecidable(f"{payment_id} is a refund: say --refunded GATEWAY_ID or --retry")
        raise NotDecidable(f"no gateway was asked for a payment {payment_id}")
    state = found.state
    approved = gateway_id is not None
    if state.status not in constants.OPEN_ATTEMPT and not (approved and state.status == constants.DECLINED):
        raise NotDecidable(f"payment {payment_id} is {state.status}: only an open one can be resolved")
    await _take_over(execute, "attempt", payment_id, state, state.gateway)
    settling = partial(
        SettlePayment.of,
        payment_id,
        state,
        now_ms=now_ms(),
        charged=Money(state.amount, state.currency) if approved else None,
        gateway_id=gateway_id or "",
        code="" if approved else BY_A_PERSON,
    )
    outcome = await execute(settling())
    if approved and outcome.data.get("status") == constants.DECLINED:  # recorded before, perhaps a moment ago
        outcome = await execute(settling(late=True))
    if outcome.data.get("status") in _AGAINST[approved]:
        raise NotDecidable(f"payment {payment_id} was settled meanwhile: it is {outcome.data['status']}")
    return outcome


async def decide_refund(execute: Execute, read: Read, refund_id: str, gateway_id: str) -> Outcome:
    """Record that a person has given the money of a refund back.

    Args:
        execute: carries out a command.
        read: runs a query.
        refund_id: of the refund.
        gateway_id: the gateway's name of what was given back, or what the bank calls it.

    Raises:
        NotDecidable: there is no such refund, it is done, or a reconciler is still at it.
        StockadeError: as `Strategy.execute`.
    """
    found = await _refund(read, refund_id)
    state = found.state
    if state.status == constants.REFUSED:
        if gateway_id == state.gateway_id:
            raise NotDecidable(f"{gateway_id} is the refund that failed: name what has given the money back")
    elif state.status not in constants.OPEN_REFUND:
        raise NotDecidable(f"refund {refund_id} is {state.status} already")
    await _take_over(execute, "refund", refund_id, state, found.attempt.gateway)
    return await execute(SettleRefund.of(refund_id, now_ms=now_ms(), refunded=True, gateway_id=gateway_id))


async def retry_refund(payments: Payments, refund_id: str) -> Outcome:
    """Owe a refused refund again, under another id, and ask the gateway for it.

    The gateway is looked at first: if it shows more given back than is recorded, somebody may have done so by hand.

    Args:
        payments: of the gateway that refused it.
        refund_id: of the refused refund.

    Returns:
        The new refund as it is then; rejected with STATE_CONFLICT if somebody else decided meanwhile.

    Raises:
        NotDecidable: there is no such refund, it is not refused, it is of another gateway, or the gateway does not
            show clearly that the money was not given back.
        StockadeError: as `Strategy.execute`.
    """
    calls = payments.calls
    found = await _refund(calls.read, refund_id)
    if found.state.status != constants.REFUSED:
        raise NotDecidable(f"refund {refund_id} is {found.state.status}: only a refused one can be asked for again")
    if found.attempt.gateway != calls.gateway.name:
        raise NotDecidable(
            f"refund {refund_id} is of {found.attempt.gateway}: say --set gateway={found.attempt.gateway}"
        )
    attempt_, look_up = found.attempt, calls.gateway.look_up
    call = look_up(attempt_.reference, attempt_.gateway_id, attempt_.payment_key)
    shown = await calls.bounded(call, f"refund {refund_id}")
    if not isinstance(shown, Approved):
        raise NotDecidable(f"{calls.gateway.name} does not show the payment now, so nothing was asked for: {shown}")
    others = await calls.read(lambda connection: refunds_of(connection, found.state.payment_id))
    if problem := not_to_be_retried(shown.refunded, others.values()):
        raise NotDecidable(problem)
    outcome = await calls.execute(RetryRefund.of(refund_id, found.state, now_ms=calls.clock_ms()))
    return await payments.refund(refund_id) if isinstance(outcome, Accepted) else outcome


async def _refund(read: Read, refund_id: str) -> OpenRefund:
    found = await read(lambda connection: refund(connection, refund_id))
    if found is None:
        if await read(lambda connection: attempt(connection, refund_id)) is not None:
            raise NotDecidable(f"{refund_id} is a payment: say --approved GATEWAY_ID or --declined")
        raise NotDecidable(f"there is no refund {refund_id}")
    if found.state.status == constants.REPLACED:
        raise NotDecidable(f"refund {refund_id} was replaced by {replacement_of(refund_id)}: say that one")
    return found


async def _take_over(execute: Execute, kind: str, id_: str, state: AttemptState | RefundState, gateway: str) -> None:
    """Let no reconciler act any more on what a person decides.

    Who uses its gateway would have acted when it was due. After `NOT_FOUND_IS_FINAL_MS` nobody does, and nothing that
    was asked can be on its way.

    Raises:
        NotDecidable: a reconciler is, or may be, at it.
    """
    if state.resolve_at_ms == constants.NEVER:
        return
    at_ms = now_ms()
    if at_ms < state.resolve_at_ms:
        when = rfc3339(state.resolve_at_ms)
        raise NotDecidable(f"the reconciler is still at {kind} {id_}, and acts again at {when}")
    if at_ms < state.resolve_at_ms + NOT_FOUND_IS_FINAL_MS:
        when = rfc3339(state.resolve_at_ms + NOT_FOUND_IS_FINAL_MS)
        raise NotDecidable(
            f"the reconciler is still at {kind} {id_}; if no process with gateway={gateway} runs, decide after {when}"
        )
    taken = Postpone.at(kind, id_, state.tries, now_ms=at_ms, resolve_at_ms=constants.NEVER, code=NEEDS_DECISION)
    outcome = await execute(taken)
    if not isinstance(outcome, Accepted) or outcome.replayed:
        raise NotDecidable(f"the reconciler is still at {kind} {id_}: it has acted just now")
