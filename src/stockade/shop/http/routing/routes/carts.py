"""A user's cart. Neighbours: `queries.cart`, `commands.SetCartItem`, `commands.RemoveCartItem`."""

from sqlalchemy import Connection

from stockade.shop import queries
from stockade.shop.commands import RemoveCartItem, SetCartItem
from stockade.shop.http.requests.request_schemas import CartItemBody, PageQuery
from stockade.shop.http.responses.response_schemas import InCart
from stockade.shop.http.routing.route import Call, Route


def _cart(connection: Connection, call: Call) -> queries.Page[queries.CartItem]:
    ask: PageQuery = call.query
    return queries.cart(connection, call.params["user_id"], limit=ask.limit, cursor=ask.cursor or None)


def _set(call: Call) -> SetCartItem:
    body: CartItemBody = call.body
    user_id, sku_id = call.params["user_id"], call.params["sku_id"]
    return SetCartItem(call.request_id, call.fingerprint, call.now_ms, user_id, sku_id, body.quantity)


def _remove(call: Call) -> RemoveCartItem:
    user_id, sku_id = call.params["user_id"], call.params["sku_id"]
    return RemoveCartItem(call.request_id, call.fingerprint, call.now_ms, user_id, sku_id)


CARTS = (
    Route(
        method="GET",
        path="/v1/users/{user_id}/cart",
        summary="A user's cart with today's prices",
        query=PageQuery,
        reply=queries.Page[queries.CartItem],
        read=_cart,
    ),
    Route(
        method="PUT",
        path="/v1/users/{user_id}/cart/items/{sku_id}",
        summary="Put a SKU into the cart, or set its quantity",
        body=CartItemBody,
        reply=InCart,
        command=_set,
        codes=("SKU_NOT_FOUND",),
    ),
    Route(
        method="DELETE",
        path="/v1/users/{user_id}/cart/items/{sku_id}",
        summary="Take a SKU out of the cart; fine if it is not there",
        status=204,
        reply=None,
        command=_remove,
    ),
)
