"""The test gateway speaks as Stripe."""

import hmac
import json
from hashlib import sha256
from typing import ClassVar
from urllib.parse import parse_qsl

from stockade.devservers.gateway.dialect import BadRequest, Message, Order
from stockade.devservers.gateway.ledger import Payment
from stockade.devservers.gateway.reply import Reply

_ERRORS = {
    "declined": ("card_error", "card_declined"),
    "not-found": ("invalid_request_error", "resource_missing"),
    "key-busy": ("idempotency_error", "idempotency_key_in_use"),
    "key-reused": ("idempotency_error", "idempotency_error"),
    "refund": ("invalid_request_error", "charge_already_refunded"),
    "bad-request": ("invalid_request_error", "parameter_missing"),
    "no-login": ("invalid_request_error", "invalid_api_key"),
}


class StripeDialect:
    """See `dialect.Dialect`."""

    key_covers_body: ClassVar[bool] = True

    def read_order(self, body: bytes) -> Order:
        """See `Dialect.read_order`."""
        form = dict(parse_qsl(body.decode(errors="replace")))
        try:
            order = Order(
                form["metadata[reference]"], form["payment_method"], int(form["amount"]), form["currency"].upper()
            )
        except (ValueError, KeyError) as error:
            raise BadRequest(f"not a PaymentIntent: {error!r:.100}") from None
        if form.get("confirm") != "True" and form.get("confirm") != "true":
            raise BadRequest("only PaymentIntents that are confirmed at once")
        return order

    def payment_id(self, order: Order, new_id: str) -> str:
        """See `Dialect.payment_id`."""
        return f"pi_{new_id}"

    def read_refund(self, body: bytes, payment_id: str) -> tuple[str, int, str]:
        """See `Dialect.read_refund`."""
        form = dict(parse_qsl(body.decode(errors="replace")))
        try:
            return form["payment_intent"], int(form["amount"]), form["metadata[reference]"]
        except (ValueError, KeyError) as error:
            raise BadRequest(f"not a refund: {error!r:.100}") from None

    def paid(self, payment: Payment) -> Reply:
        """See `Dialect.paid`."""
        return Reply(200, json.dumps(_intent(payment)).encode())

    def refunded(self, payment: Payment) -> Reply:
        """See `Dialect.refunded`."""
        last = payment.refunds[-1]
        body = {
            "id": last.id,
            "object": "refund",
            "amount": last.amount,
            "currency": payment.currency.lower(),
            "payment_intent": payment.id,
            "metadata": {"reference": last.about},
            "status": "succeeded",
        }
        return Reply(200, json.dumps(body).encode())

    def refused(self, status: int, code: str) -> Reply:
        """See `Dialect.refused`."""
        kind, name = _ERRORS.get(code, ("api_error", code))
        error = {"type": kind, "code": name, "message": f"the test gateway says: {code}"}
        if code == "declined":
            error["decline_code"] = "insufficient_funds"
        return Reply(402 if code == "declined" else status, json.dumps({"error": error}).encode())

    def notification(self, payment: Payment, event_id: str, at_s: int, secret: str) -> Message:
        """See `Dialect.notification`. It is signed as Stripe signs."""
        kind = "payment_intent.payment_failed" if payment.declined else "payment_intent.succeeded"
        event = {"id": f"evt_{event_id}", "object": "event", "type": kind, "created": at_s}
        body = json.dumps({**event, "data": {"object": _intent(payment)}}).encode()
        signature = hmac.new(secret.encode(), b"%d." % at_s + body, sha256).hexdigest()
        return Message(body, {"content-type": "application/json", "stripe-signature": f"t={at_s},v1={signature}"})


def _intent(payment: Payment) -> dict[str, object]:
    return {
        "id": payment.id,
        "object": "payment_intent",
        "amount": payment.amount,
        "amount_received": 0 if payment.declined else payment.amount,
        "currency": payment.currency.lower(),
        "metadata": {"reference": payment.reference},
        "status": "requires_payment_method" if payment.declined else "succeeded",
        "latest_charge": {
            "id": f"ch_{payment.id}",
            "object": "charge",
            "amount_refunded": payment.amount - payment.left,
        },
    }
