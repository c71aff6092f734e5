"""The basket: what is in it at the prices of now, and the order of all of it.

The form to buy carries what the page showed, the price of each unit too: at another total nothing is bought.
Neighbour: `orders`, which takes the form.
"""

from typing import Any

from sqlalchemy import Connection

from stockade.shop import queries
from stockade.shop.front.page_route import PageRoute
from stockade.shop.front.pages.problem import refused
from stockade.shop.front.visit import Answer, Visit
from stockade.shop.http.responses.problems import ProblemError
from stockade.shop.http.responses.response import Response
from stockade.shop.model.limits import MAX_LINES, MAX_QUANTITY

_ITEM = "/v1/users/{user_id}/cart/items/{sku_id}"


async def _basket(visit: Visit) -> Response:
    user_id, refused_id = visit.user_id, visit.query.text("refused")

    def read(conn: Connection) -> dict[str, Any]:
        items = queries.cart(conn, user_id, limit=MAX_LINES)
        names = queries.sku_names(conn, [item.sku_id for item in items.items])
        order = queries.order(conn, refused_id, user_id) if refused_id else None
        return {"items": items.items, "more": items.next_cursor is not None, "names": names, "refused": order}

    found = await visit.read(read)
    order = found["refused"]
    short = {each.sku_id: each for each in order.shortages or ()} if isinstance(order, queries.Order) else {}
    return await visit.page("basket", **found, short=short)


async def _put(visit: Visit) -> Response:
    """Set the units of one SKU, or of all lines of the basket; 0 takes it out."""
    form = visit.form
    skus, quantities = form.texts("sku"), form.numbers("quantity", 0, MAX_QUANTITY)
    if not 1 <= len(skus) == len(quantities) <= MAX_LINES:
        raise ProblemError("INVALID_REQUEST", "a basket has one quantity for each SKU")
    for sku_id, quantity in zip(skus, quantities, strict=True):
        ids = {"user_id": visit.user_id, "sku_id": sku_id}
        answer = await visit.command("PUT", _ITEM, ids, {"quantity": quantity}) if quantity else await _out(visit, ids)
        if answer.code:
            return refused(visit, answer.code)
    return visit.go("/shop/basket")


async def _remove(visit: Visit) -> Response:
    await _out(visit, {"user_id": visit.user_id, "sku_id": visit.form.text("sku")})
    return visit.go("/shop/basket")


async def _out(visit: Visit, ids: dict[str, str]) -> Answer:
    return await visit.command("DELETE", _ITEM, ids, {})


BASKET = (
    PageRoute("GET", "/shop/basket", _basket),
    PageRoute("POST", "/shop/basket", _put),
    PageRoute("POST", "/shop/basket/remove", _remove),
)
