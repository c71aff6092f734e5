"""A user's points. Neighbours: `queries.points`, `commands.ChargePoints`."""

from sqlalchemy import Connection

from stockade.shop import queries
from stockade.shop.commands import ChargePoints, OpenCharge
from stockade.shop.http.requests.request_schemas import ChargeBody, PageQuery
from stockade.shop.http.responses.response_schemas import Charged
from stockade.shop.http.routing.route import Link, RequestContext, Route, ShopCommand
from stockade.shop.http.routing.routes.payments import require_gateway
from stockade.shop.model.constants import PG


def _points(connection: Connection, request: RequestContext) -> queries.Points | None:
    return queries.points(connection, request.path_ids["user_id"])


def _entries(connection: Connection, request: RequestContext) -> queries.Page[queries.PointEntry] | None:
    query: PageQuery = request.query
    return queries.point_entries(
        connection, request.path_ids["user_id"], limit=query.limit, cursor=query.cursor or None
    )


def _charge(request: RequestContext) -> ShopCommand:
    body: ChargeBody = request.body
    if body.method == PG:
        require_gateway(request.settings)
        currency = request.settings.currency
        return OpenCharge(*request.command_args, request.path_ids["user_id"], body.amount, currency)
    return ChargePoints(*request.command_args, request.path_ids["user_id"], body.amount)


POINTS = (
    Route(
        method="GET",
        path="/v1/users/{user_id}/points",
        summary="A user's points account",
        about="The balance of the user; there is no account before the first charge.",
        response=queries.Points,
        read=_points,
        missing="POINT_ACCOUNT_NOT_FOUND",
    ),
    Route(
        method="GET",
        path="/v1/users/{user_id}/points/entries",
        summary="The movements of a user's points, newest first",
        about="Charges, payments and refunds, each with the balance after it.",
        query=PageQuery,
        response=queries.Page[queries.PointEntry],
        read=_entries,
        missing="POINT_ACCOUNT_NOT_FOUND",
    ),
    Route(
        method="POST",
        path="/v1/users/{user_id}/point-charges",
        summary="Charge points; the first charge opens the account",
        about=(
            "With INSTANT the points are added. With PG the charge is READY: open the gateway's page with "
            "`pg_order_id`, and confirm with what it returns."
        ),
        keyed=True,
        body=ChargeBody,
        status=201,
        response=Charged,
        command=_charge,
        codes=("LIMIT_EXCEEDED", "GATEWAY_NOT_FOUND"),
        queued_member="charge_id",
        links=(
            Link("GET", "/v1/point-charges/{charge_id}", "charge_id", "charge_id"),
            Link("POST", "/v1/point-charges/{charge_id}/confirm", "charge_id", "charge_id"),
        ),
    ),
)
