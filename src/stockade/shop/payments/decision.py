"""What a person decides about a payment or a refund that no program can resolve.

The answer is recorded by the command that records a gateway's answer: the first one counts, and what follows from it is
the same. Neighbours: the command line calls it; `queries.unresolved_payments` lists what waits for it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from stockade.core import Command, Outcome
from stockade.core.clock import now_ms
from stockade.core.timestamps import rfc3339
from stockade.shop.commands import SettlePayment, SettleRefund
from stockade.shop.commands.payments.settle_payment import late_id, settle_id
from stockade.shop.model import constants
from stockade.shop.model.states import AttemptState, RefundState
from stockade.shop.payments.calls import Read
from stockade.shop.payments.open_payments import attempt, refund

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
        raise NotDecidable(f"no gateway was asked for a payment {payment_id}")
    state = found.state
    approved = gateway_id is not None
    if state.status not in constants.OPEN_ATTEMPT and not (approved and state.status == constants.DECLINED):
        raise NotDecidable(f"payment {payment_id} is {state.status}: only an open one can be resolved")
    _refuse_while_reconciled("payment", payment_id, state)
    settle = SettlePayment(
        settle_id(payment_id),
        state.fingerprint,
        now_ms(),
        payment_id,
        approved,
        gateway_id or "",
        state.amount if approved else 0,
        state.currency,
        "" if approved else BY_A_PERSON,
        state.subject,
        state.subject_id,
        state.user_id,
    )
    outcome = await execute(settle)
    if approved and outcome.data.get("status") == constants.DECLINED:  # recorded before, perhaps a moment ago
        outcome = await execute(replace(settle, request_id=late_id(payment_id), fingerprint=payment_id))
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
    found = await read(lambda connection: refund(connection, refund_id))
    if found is None:
        raise NotDecidable(f"there is no refund {refund_id}")
    if found.state.status != constants.REFUSED:
        if found.state.status not in constants.OPEN_REFUND:
            raise NotDecidable(f"refund {refund_id} is {found.state.status} already")
        _refuse_while_reconciled("refund", refund_id, found.state)
    return await execute(SettleRefund.of(refund_id, now_ms=now_ms(), refunded=True, gateway_id=gateway_id))


def _refuse_while_reconciled(kind: str, id_: str, state: AttemptState | RefundState) -> None:
    if state.resolve_at_ms != constants.NEVER:
        when = rfc3339(state.resolve_at_ms)
        raise NotDecidable(f"the reconciler is still at {kind} {id_}, and acts again at {when}")
