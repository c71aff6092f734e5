"""Payments: of an order, with points or through a gateway, and of a charge of points through a gateway.

Neighbours: `queries.payments`, `commands.PayOrder`, `commands.ClaimPayment`; `shop.payments` asks the gateway.
"""

from collections.abc import Mapping

from msgspec import UnsetType
from sqlalchemy import Connection

from stockade.core import JsonValue
from stockade.gateways import BadNotification
from stockade.gateways.gateway import MAX_NOTIFICATION_BYTES
from stockade.shop import queries
from stockade.shop.commands import ClaimPayment, PayOrder
from stockade.shop.config.payment_gateway import NONE
from stockade.shop.config.settings import Settings
from stockade.shop.http.requests.authorization import Access
from stockade.shop.http.requests.request_schemas import ConfirmBody, PaymentBody
from stockade.shop.http.responses.problems import ProblemError
from stockade.shop.http.responses.response_schemas import ChargeConfirmed, Paid, PaymentOpen, Received
from stockade.shop.http.routing.route import Ending, Link, Notice, RequestContext, Route, ShopCommand
from stockade.shop.model import constants
from stockade.shop.payments.calls import lease_ms
from stockade.shop.shop import Shop

_CODES = (
    "ALREADY_PAID",
    "AMOUNT_MISMATCH",
    "GATEWAY_NOT_FOUND",
    "LIMIT_EXCEEDED",
    "PAYMENT_DECLINED",
    "PAYMENT_IN_PROGRESS",
    "PAYMENT_UNFULFILLABLE",
    "STATE_CONFLICT",
)
_ENDINGS = {
    constants.DECLINED: Ending("PAYMENT_DECLINED"),
    constants.UNFULFILLABLE: Ending("PAYMENT_UNFULFILLABLE"),
}


def _pay(request: RequestContext) -> ShopCommand:
    body: PaymentBody = request.body
    order_id = request.path_ids["order_id"]
    if body.method == constants.POINTS:
        if not (isinstance(body.payment_key, UnsetType) and isinstance(body.amount, UnsetType)):
            raise ProblemError("INVALID_REQUEST", "payment_key and amount belong to the method PG")
        return PayOrder(*request.command_args, order_id, request.user_id)
    if isinstance(body.payment_key, UnsetType) or isinstance(body.amount, UnsetType):
        raise ProblemError("INVALID_REQUEST", "the method PG needs payment_key and amount")
    return _claim(request, constants.ORDER, order_id, body.payment_key, body.amount)


def _confirm(request: RequestContext) -> ShopCommand:
    body: ConfirmBody = request.body
    return _claim(request, constants.CHARGE_SUBJECT, request.path_ids["charge_id"], body.payment_key, body.amount)


def _claim(request: RequestContext, subject: str, subject_id: str, payment_key: str, amount: int) -> ClaimPayment:
    settings = request.settings
    payment_id = request.request_id
    return ClaimPayment(
        payment_id,
        request.fingerprint,
        request.now_ms,
        payment_id,
        subject,
        subject_id,
        request.user_id,
        payment_key,
        amount,
        settings.currency,
        settings.gateway,
        request.now_ms + lease_ms(settings.gateway_call_s),
    )


def require_gateway(settings: Settings) -> None:
    """Refuse what needs a payment gateway where there is none.

    Raises:
        ProblemError: GATEWAY_NOT_FOUND.
    """
    if settings.gateway == NONE:
        raise ProblemError("GATEWAY_NOT_FOUND", "the service has no payment gateway (setting gateway)")


def _ending(data: Mapping[str, JsonValue]) -> Ending | None:
    if data["status"] in constants.OPEN_ATTEMPT:
        return Ending(location=f"/v1/payments/{data['payment_id']}")
    return _ENDINGS.get(str(data["status"]))


def _charge(connection: Connection, request: RequestContext) -> queries.Charge | None:
    return queries.charge(connection, request.path_ids["charge_id"], request.owner)


async def _notified(shop: Shop, notice: Notice) -> Received:
    name = notice.path_ids["gateway"]
    if shop.notifications is None or shop.notifications.gateway != name:
        raise ProblemError("GATEWAY_NOT_FOUND", f"the service has no payment gateway {name}")
    try:
        await shop.notifications.take(notice.headers, notice.body)
    except BadNotification as error:
        raise ProblemError("BAD_SIGNATURE", str(error)) from None
    return Received()


def _payment(connection: Connection, request: RequestContext) -> queries.Payment | None:
    return queries.payment(connection, request.path_ids["payment_id"], request.owner)


_PAYMENT = Link("GET", "/v1/payments/{payment_id}", "payment_id", "payment_id")

PAYMENTS = (
    Route(
        method="POST",
        path="/v1/orders/{order_id}/payments",
        summary="Pay a reserved order with points, or through the payment gateway",
        about=(
            "With POINTS the points of the buyer are taken. With PG the gateway is asked to approve what the buyer's "
            "page has received; while it is not known whether it did, the answer is 202, and the order keeps its stock."
        ),
        keyed=True,
        body=PaymentBody,
        response=Paid,
        command=_pay,
        codes=(*_CODES, "ORDER_NOT_FOUND", "RESERVATION_EXPIRED", "INSUFFICIENT_POINTS"),
        queued_member="payment_id",
        ending=_ending,
        open_response=PaymentOpen,
        links=(_PAYMENT,),
    ),
    Route(
        method="POST",
        path="/v1/point-charges/{charge_id}/confirm",
        summary="Have the payment gateway approve a charge of points",
        about="The points are added once the gateway has approved; 202 while it is not known whether it did.",
        keyed=True,
        body=ConfirmBody,
        response=ChargeConfirmed,
        command=_confirm,
        codes=(*_CODES, "CHARGE_NOT_FOUND"),
        queued_member="payment_id",
        ending=_ending,
        open_response=PaymentOpen,
        links=(_PAYMENT,),
    ),
    Route(
        method="GET",
        path="/v1/payments/{payment_id}",
        summary="One payment with its history",
        about="The payment of an order or a charge, for its buyer and for administrators.",
        response=queries.Payment,
        read=_payment,
        missing="PAYMENT_NOT_FOUND",
    ),
    Route(
        method="GET",
        path="/v1/point-charges/{charge_id}",
        summary="One charge of points through the payment gateway",
        about="With `pg_order_id` while it can be confirmed; for its buyer and for administrators.",
        response=queries.Charge,
        read=_charge,
        missing="CHARGE_NOT_FOUND",
    ),
    Route(
        method="POST",
        path="/v1/pg/webhooks/{gateway}",
        summary="For the payment gateway: what it reports by itself",
        about=(
            "Takes a notification with its signature, which stands in place of a token; each event is recorded once. "
            "An unsigned one only makes the service look the payment up. Other answers than 200: send it again."
        ),
        access=Access.ANYONE,
        response=Received,
        notified=_notified,
        max_notice_bytes=MAX_NOTIFICATION_BYTES,
        codes=("BAD_SIGNATURE", "GATEWAY_NOT_FOUND"),
    ),
)
