"""Orders. Neighbours: `queries.orders`, and the commands of an order's life; `payments` has what pays them."""

from collections.abc import Mapping

from msgspec import UnsetType
from sqlalchemy import Connection

from stockade.core import JsonValue
from stockade.core.timestamps import rfc3339
from stockade.shop import queries
from stockade.shop.commands import CancelLines, CancelOrder, OrderLine, PlaceOrder
from stockade.shop.commands.cancel_lines import WHOLE
from stockade.shop.commands.place_order import ANY_TOTAL
from stockade.shop.config.payment_gateway import NONE
from stockade.shop.config.settings import Settings
from stockade.shop.http.requests.request_schemas import CancelBody, CancelLinesBody, OrderBody, OrderQuery, PageQuery
from stockade.shop.http.responses.response_schemas import Cancelled, LinesCancelled, Ordered
from stockade.shop.http.routing.route import Ending, Link, RequestContext, Route
from stockade.shop.model import constants
from stockade.shop.model.constants import OPEN_REFUND, ORDER_REFUSALS, REFUNDED
from stockade.shop.model.payment_reference import next_reference
from stockade.shop.queries.orders import Step


def _place(request: RequestContext) -> PlaceOrder:
    body: OrderBody = request.body
    lines = tuple([OrderLine(line.sku_id, line.quantity) for line in body.lines])
    reserve_ms = request.settings.reserve_ms
    expected_total = ANY_TOTAL if isinstance(body.expected_total, UnsetType) else body.expected_total
    return PlaceOrder(*request.command_args, request.user_id, lines, body.pay, reserve_ms, expected_total)


def _cancel(request: RequestContext) -> CancelOrder:
    body: CancelBody = request.body
    order_id = request.path_ids["order_id"]
    return CancelOrder(*request.command_args, order_id, request.owner, body.reason)


def _cancel_lines(request: RequestContext) -> CancelLines:
    body: CancelLinesBody = request.body
    lines = tuple(
        OrderLine(line.sku_id, WHOLE if isinstance(line.quantity, UnsetType) else line.quantity) for line in body.lines
    )
    return CancelLines(*request.command_args, request.path_ids["order_id"], request.owner, lines, body.reason)


def _cancel_ending(data: Mapping[str, JsonValue]) -> Ending | None:
    refunds = data["refunds"]
    assert isinstance(refunds, list)
    is_open = any(each.get("status", REFUNDED) in OPEN_REFUND for each in refunds)
    return Ending(location=f"/v1/orders/{data['order_id']}") if is_open else None


def _shown(data: Mapping[str, JsonValue], settings: Settings) -> Mapping[str, JsonValue]:
    """A new order, and if it can be paid through a gateway, the order id to open the gateway's page with."""
    if settings.gateway == NONE or data["status"] != constants.RESERVED or not data["total"]:
        return data
    return {**data, "pg_order_id": next_reference(str(data["order_id"]), 0)}


def _order(connection: Connection, request: RequestContext) -> queries.Order | None:
    gateway = request.settings.gateway != NONE
    return queries.order(connection, request.path_ids["order_id"], request.owner, gateway=gateway)


def _pending(request: RequestContext, since_ms: int) -> queries.Order:
    at = rfc3339(since_ms)
    return queries.Order(
        request.path_ids["order_id"], request.user_id, constants.PENDING, [], [Step(constants.PENDING, at)], at
    )


def _orders(connection: Connection, request: RequestContext) -> queries.Page[queries.Order]:
    query: PageQuery = request.query
    return queries.orders(connection, request.path_ids["user_id"], limit=query.limit, cursor=query.cursor or None)


ORDERS = (
    Route(
        method="POST",
        path="/v1/orders",
        summary="Place an order of several lines: all or nothing",
        about=(
            "Takes every line or none, at the prices of the moment of the decision. With `expected_total` "
            "another total is refused."
        ),
        keyed=True,
        body=OrderBody,
        status=201,
        response=Ordered,
        command=_place,
        codes=ORDER_REFUSALS,
        queued_member="order_id",
        queued_location="/v1/orders/{id}?pending={proof}",
        location="/v1/orders/{order_id}",
        shown=_shown,
        links=(
            Link("GET", "/v1/orders/{order_id}", "order_id", "order_id"),
            Link("POST", "/v1/orders/{order_id}/payments", "order_id", "order_id"),
            Link("POST", "/v1/orders/{order_id}/cancel", "order_id", "order_id"),
            Link("POST", "/v1/orders/{order_id}/lines/cancel", "order_id", "order_id"),
        ),
    ),
    Route(
        method="GET",
        path="/v1/orders/{order_id}",
        summary="One order; a refused one is shown while its request is remembered",
        about="The order with its lines, its states and its payment, for its buyer and for administrators.",
        query=OrderQuery,
        response=queries.Order,
        read=_order,
        pending=_pending,
        missing="ORDER_NOT_FOUND",
    ),
    Route(
        method="GET",
        path="/v1/users/{user_id}/orders",
        summary="A user's orders, newest first",
        about="Made orders, and orders that were refused within the time for which a key is kept.",
        query=PageQuery,
        response=queries.Page[queries.Order],
        read=_orders,
    ),
    Route(
        method="POST",
        path="/v1/orders/{order_id}/cancel",
        summary="Cancel an order: its stock and its money come back",
        about=(
            "Cancels a RESERVED, PAYING or PAID order. The order stays readable. Points come back at once; a refund by "
            "the payment gateway that is not certain yet is 202."
        ),
        keyed=True,
        body=CancelBody,
        response=Cancelled,
        command=_cancel,
        codes=("ORDER_NOT_FOUND", "STATE_CONFLICT"),
        ending=_cancel_ending,
        open_response=Cancelled,
    ),
    Route(
        method="POST",
        path="/v1/orders/{order_id}/lines/cancel",
        summary="Cancel lines of an order, or units of them: their stock and their money come back",
        about=(
            "Cancels lines of a RESERVED or PAID order, each as a whole or by some units; the rest of the order goes "
            "on. When nothing is left, the order is CANCELLED. Points come back at once; a refund by the payment "
            "gateway that is not certain yet is 202."
        ),
        keyed=True,
        body=CancelLinesBody,
        response=LinesCancelled,
        command=_cancel_lines,
        codes=("ORDER_NOT_FOUND", "SKU_NOT_FOUND", "STATE_CONFLICT", "PAYMENT_IN_PROGRESS", "LIMIT_EXCEEDED"),
        ending=_cancel_ending,
        open_response=LinesCancelled,
    ),
)
