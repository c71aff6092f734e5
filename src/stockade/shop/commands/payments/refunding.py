"""What gives money back: points at once; by a gateway, a record for which `shop.payments` asks the gateway later."""

from stockade.core import Change, Insert, Key
from stockade.gateways import Money
from stockade.shop.model import constants
from stockade.shop.model.states import OrderState, PointsState


def payment_keys(order: OrderState) -> list[Key]:
    """What a refund of a paid order needs: its account and payment, and the attempt if a gateway may be in it."""
    keys = [Key("points", order.user_id), Key("payment", order.payment_id)]
    return [*keys, Key("attempt", order.payment_id)] if order.pay == constants.LATER else keys


def points_back(account: PointsState | None, amount: int, order_id: str) -> Change:
    """The change of an account that gets points back. It has no upper limit: a refund is owed, whatever the balance."""
    points = account or PointsState(0, 0)
    return Change(PointsState(points.balance + amount, points.held), amount, 0, constants.REFUND, order_id)


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
