"""What only administrators list: the orders of all users, and hidden products. Neighbour: `queries.order_lists`."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, UnsetType
from sqlalchemy import Connection

from stockade.identity.user_ids import addressed_user_id
from stockade.shop import queries
from stockade.shop.http.requests.authorization import Access
from stockade.shop.http.requests.request_schemas import AllOrdersQuery, AllProductsQuery
from stockade.shop.http.routing.route import RequestContext, Route

_Time = Annotated[datetime, Meta(tz=True)]


def _orders(connection: Connection, request: RequestContext) -> queries.Page[queries.Order]:
    query: AllOrdersQuery = request.query
    which = queries.OrderFilter(
        user_id=None if isinstance(query.user_id, UnsetType) else addressed_user_id(query.user_id),
        status=query.status or None,
        product_id=query.product_id or None,
        since_ms=_ms("since", query.since),
        until_ms=_ms("until", query.until),
    )
    return queries.all_orders(connection, which, limit=query.limit, cursor=query.cursor or None)


def _ms(name: str, text: str | UnsetType) -> int | None:
    if isinstance(text, UnsetType):
        return None
    try:
        at = msgspec.convert(text, _Time)
    except msgspec.ValidationError:
        raise queries.BadQuery(f"{name} must be a time with its offset, e.g. 2026-03-01T00:00:00Z") from None
    return int(at.timestamp() * 1000)


def _products(connection: Connection, request: RequestContext) -> queries.Page[queries.Product]:
    query: AllProductsQuery = request.query
    return queries.products(
        connection,
        q=query.q,
        sort=query.sort,
        descending=query.dir == "desc",
        status=query.status,
        limit=query.limit,
        cursor=query.cursor or None,
    )


def _product(connection: Connection, request: RequestContext) -> queries.Product | None:
    return queries.product(connection, request.path_ids["product_id"], hidden=True)


ADMIN = (
    Route(
        method="GET",
        path="/v1/admin/orders",
        summary="Orders of all users, newest first, with the refused ones",
        about=(
            "One filter is searched by its index: product, else user, else state, else time. With several of "
            "the first three, a page examines at most 2,000 orders; it may then have fewer items than "
            "`limit` and still a `next_cursor`."
        ),
        access=Access.ADMIN,
        query=AllOrdersQuery,
        response=queries.Page[queries.Order],
        read=_orders,
    ),
    Route(
        method="GET",
        path="/v1/admin/products",
        summary="List products, or the hidden ones",
        about="As the public list; `status=HIDDEN` lists the hidden ones.",
        access=Access.ADMIN,
        query=AllProductsQuery,
        response=queries.Page[queries.Product],
        read=_products,
    ),
    Route(
        method="GET",
        path="/v1/admin/products/{product_id}",
        summary="One product, also a hidden one",
        about="With the version that an edit must name.",
        access=Access.ADMIN,
        response=queries.Product,
        read=_product,
        missing="PRODUCT_NOT_FOUND",
    ),
)
