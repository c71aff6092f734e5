"""A refund as a record: the command that owes it writes it, and `shop.payments` asks the gateway for it later."""

from stockade.core import Insert
from stockade.gateways import Money
from stockade.shop.model import constants


def new_refund(id_: str, payment_id: str, user_id: str, money: Money, *, reason: str, now_ms: int) -> Insert:
    """The record of a refund that is owed from now on.

    Args:
        id_: of the refund; it is our reference and the idempotency key at the gateway.
        payment_id: of the attempt that is refunded, whose `refunds` the same decision raises.
        user_id: who is given the money.
        money: how much.
        reason: for the gateway's records.
        now_ms: wall clock in milliseconds since 1970; the reconciler may act at once.
    """
    refund = {
        "id": id_,
        "payment_id": payment_id,
        "user_id": user_id,
        "amount": money.amount,
        "currency": money.currency,
        "reason": reason,
        "created_ms": now_ms,
        "status": constants.READY,
        "gateway_id": "",
        "code": "",
        "resolve_at_ms": now_ms,
        "tries": 0,
    }
    return Insert("refunds", refund)
