"""A user's points. Neighbours: `queries.points`, `commands.ChargePoints`."""

from sqlalchemy import Connection

from stockade.shop import queries
from stockade.shop.commands import ChargePoints
from stockade.shop.http.requests.request_schemas import ChargeBody, PageQuery
from stockade.shop.http.responses.response_schemas import Charged
from stockade.shop.http.routing.route import Call, Route


def _points(connection: Connection, call: Call) -> queries.Points | None:
    return queries.points(connection, call.params["user_id"])


def _entries(connection: Connection, call: Call) -> queries.Page[queries.PointEntry] | None:
    ask: PageQuery = call.query
    return queries.point_entries(connection, call.params["user_id"], limit=ask.limit, cursor=ask.cursor or None)


def _charge(call: Call) -> ChargePoints:
    body: ChargeBody = call.body
    return ChargePoints(call.request_id, call.fingerprint, call.now_ms, call.params["user_id"], body.amount)


POINTS = (
    Route(
        method="GET",
        path="/v1/users/{user_id}/points",
        summary="A user's points account",
        reply=queries.Points,
        read=_points,
        missing="POINT_ACCOUNT_NOT_FOUND",
    ),
    Route(
        method="GET",
        path="/v1/users/{user_id}/points/entries",
        summary="The movements of a user's points, newest first",
        query=PageQuery,
        reply=queries.Page[queries.PointEntry],
        read=_entries,
        missing="POINT_ACCOUNT_NOT_FOUND",
    ),
    Route(
        method="POST",
        path="/v1/users/{user_id}/point-charges",
        summary="Charge points; the first charge opens the account",
        keyed=True,
        body=ChargeBody,
        status=201,
        reply=Charged,
        command=_charge,
        codes=("LIMIT_EXCEEDED",),
        queued="charge_id",
    ),
)
