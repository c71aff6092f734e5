"""The test gateway speaks as Toss Payments."""

import json
from datetime import UTC, datetime
from typing import ClassVar

from stockade.devservers.gateway.dialect import BadRequest, Message, Order
from stockade.devservers.gateway.ledger import Payment
from stockade.devservers.gateway.reply import Reply

_CODES = {
    "declined": "REJECT_CARD_PAYMENT",
    "not-found": "NOT_FOUND_PAYMENT",
    "already": "ALREADY_PROCESSED_PAYMENT",
    "key-busy": "IDEMPOTENT_REQUEST_PROCESSING",
    "refund": "NOT_CANCELABLE_AMOUNT",
    "bad-request": "INVALID_REQUEST",
    "no-login": "UNAUTHORIZED_KEY",
    "error": "FAILED_INTERNAL_SYSTEM_PROCESSING",
}


class TossDialect:
    """See `dialect.Dialect`. All amounts are in won."""

    key_covers_body: ClassVar[bool] = False

    def read_order(self, body: bytes) -> Order:
        """See `Dialect.read_order`."""
        try:
            read = json.loads(body)
            order = Order(read["orderId"], read["paymentKey"], read["amount"], "KRW")
        except (ValueError, KeyError, TypeError) as error:
            raise BadRequest(f"not a confirmation: {error!r:.100}") from None
        if not 6 <= len(order.reference) <= 64 or type(order.amount) is not int or order.amount < 1:
            raise BadRequest("orderId has 6 to 64 characters, amount is a whole number")
        return order

    def payment_id(self, order: Order, new_id: str) -> str:
        """See `Dialect.payment_id`."""
        return order.payment_key

    def read_refund(self, body: bytes, payment_id: str) -> tuple[str, int, str]:
        """See `Dialect.read_refund`."""
        try:
            read = json.loads(body)
            return payment_id, int(read["cancelAmount"]), str(read["cancelReason"])
        except (ValueError, KeyError, TypeError) as error:
            raise BadRequest(f"not a cancellation: {error!r:.100}") from None

    def paid(self, payment: Payment) -> Reply:
        """See `Dialect.paid`."""
        status = "DONE"
        if payment.declined:
            status = "ABORTED"
        elif payment.refunds:
            status = "PARTIAL_CANCELED" if payment.left else "CANCELED"
        read = {
            "version": "2022-11-16",
            "paymentKey": payment.id,
            "type": "NORMAL",
            "orderId": payment.reference,
            "currency": payment.currency,
            "method": "카드",
            "status": status,
            "totalAmount": payment.amount,
            "balanceAmount": payment.left,
            "failure": {"code": payment.declined, "message": "declined by the test gateway"}
            if payment.declined
            else None,
            "cancels": [
                {
                    "cancelAmount": each.amount,
                    "cancelReason": each.about,
                    "transactionKey": each.id,
                    "cancelStatus": "DONE",
                }
                for each in payment.refunds
            ]
            or None,
        }
        return Reply(200, json.dumps(read, ensure_ascii=False).encode())

    def refunded(self, payment: Payment) -> Reply:
        """See `Dialect.refunded`."""
        return self.paid(payment)

    def refused(self, status: int, code: str) -> Reply:
        """See `Dialect.refused`."""
        body = {"code": _CODES.get(code, code), "message": f"the test gateway says: {code}"}
        return Reply(status, json.dumps(body).encode())

    def notification(self, payment: Payment, event_id: str, at_s: int, secret: str) -> Message:
        """See `Dialect.notification`. It has no signature."""
        at = datetime.fromtimestamp(at_s, UTC).isoformat()
        body = {"eventType": "PAYMENT_STATUS_CHANGED", "createdAt": at, "data": json.loads(self.paid(payment).body)}
        headers = {"content-type": "application/json", "tosspayments-webhook-transmission-id": event_id}
        return Message(json.dumps(body, ensure_ascii=False).encode(), headers)
