"""A user's cart. Neighbours: `queries.cart`, `commands.SetCartItem`, `commands.RemoveCartItem`."""

from sqlalchemy import Connection

from stockade.shop import queries
from stockade.shop.commands import RemoveCartItem, SetCartItem
from stockade.shop.http.requests.request_schemas import CartItemBody, PageQuery
from stockade.shop.http.responses.response_schemas import InCart
from stockade.shop.http.routing.route import RequestContext, Route


def _cart(connection: Connection, request: RequestContext) -> queries.Page[queries.CartItem]:
    query: PageQuery = request.query
    return queries.cart(connection, request.path_ids["user_id"], limit=query.limit, cursor=query.cursor or None)


def _set(request: RequestContext) -> SetCartItem:
    body: CartItemBody = request.body
    user_id, sku_id = request.path_ids["user_id"], request.path_ids["sku_id"]
    return SetCartItem(*request.command_args, user_id, sku_id, body.quantity)


def _remove(request: RequestContext) -> RemoveCartItem:
    user_id, sku_id = request.path_ids["user_id"], request.path_ids["sku_id"]
    return RemoveCartItem(*request.command_args, user_id, sku_id)


CARTS = (
    Route(
        method="GET",
        path="/v1/users/{user_id}/cart",
        summary="A user's cart with today's prices",
        about="A cart reserves nothing. A hidden product stays in it and is marked as not on sale.",
        query=PageQuery,
        response=queries.Page[queries.CartItem],
        read=_cart,
    ),
    Route(
        method="PUT",
        path="/v1/users/{user_id}/cart/items/{sku_id}",
        summary="Put a SKU into the cart, or set its quantity",
        about="Sets how many units are wanted; the last request counts.",
        body=CartItemBody,
        response=InCart,
        command=_set,
        codes=("SKU_NOT_FOUND", "NOT_ON_SALE"),
    ),
    Route(
        method="DELETE",
        path="/v1/users/{user_id}/cart/items/{sku_id}",
        summary="Take a SKU out of the cart; fine if it is not there",
        about="Removes the item. There is no answer body.",
        status=204,
        response=None,
        command=_remove,
    ),
)
