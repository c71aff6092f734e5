"""Orders: place one, see it, also while it is queued, list them, cancel one.

Every form that places or cancels has a key, made with the page. A second click sends the same key, so the shop answers
with the same order. Neighbours: `basket` has the form, `payments` pays a reserved order.
"""

from urllib.parse import parse_qs, urlsplit

from sqlalchemy import Connection

from stockade.core.clock import now_ms
from stockade.shop import queries
from stockade.shop.front.page_route import PageRoute
from stockade.shop.front.pages.problem import refused
from stockade.shop.front.visit import Visit
from stockade.shop.http.responses.problems import ProblemError
from stockade.shop.http.responses.response import Response
from stockade.shop.model import constants
from stockade.shop.model.limits import MAX_AMOUNT, MAX_QUANTITY

PER_PAGE = 10
MAX_LOOKS = 20  # how often a page of a queued order looks again by itself
_AGAIN = "yes"


async def _place(visit: Visit) -> Response:
    form = visit.form
    skus, quantities = form.texts("sku"), form.numbers("quantity", 1, MAX_QUANTITY)
    prices = form.numbers("price", 0, MAX_AMOUNT)
    if not len(skus) == len(quantities) == len(prices):
        raise ProblemError("INVALID_REQUEST", "an order has a quantity and a price for each SKU")
    body = {
        "lines": [{"sku_id": sku, "quantity": units} for sku, units in zip(skus, quantities, strict=True)],
        "pay": form.text("pay", constants.POINTS),
        "expected_total": sum(units * price for units, price in zip(quantities, prices, strict=True)),
    }
    answer = await visit.command("POST", "/v1/orders", {}, body)
    if answer.status == 202:
        proof = parse_qs(urlsplit(answer.location).query).get("pending", [""])[0]
        return visit.go(f"/shop/orders/{answer.data['order_id']}", pending=proof)
    again = _AGAIN if answer.replayed else ""
    if not answer.code:
        return visit.go(f"/shop/orders/{answer.data['order_id']}", again=again, placed="yes")
    if "order_id" not in answer.data:
        return refused(visit, answer.code, str(answer.data.get("detail", "")))
    if form.text("from") == "basket":
        return visit.go("/shop/basket", refused=answer.data["order_id"])
    return visit.go(f"/shop/orders/{answer.data['order_id']}", again=again)


async def _order(visit: Visit) -> Response:
    order_id, owner = visit.path_ids["order_id"], visit.owner

    def read(conn: Connection) -> tuple[queries.Order | None, dict[str, queries.SkuName]]:
        found = queries.order(conn, order_id, owner, gateway=bool(visit.gateway))
        return found, queries.sku_names(conn, [line.sku_id for line in found.lines]) if found else {}

    order, names = await visit.read(read)
    if order is None and not _is_queued(visit, order_id):
        raise ProblemError("ORDER_NOT_FOUND", "")
    if visit.by_script:
        return visit.tell(200, {"status": order.status if order else constants.PENDING})
    if order is None:
        return await visit.page("pending", order_id=order_id, max_looks=MAX_LOOKS)
    clicks = visit.query.text("clicks")
    return await visit.page(
        "order",
        order=order,
        names=names,
        short={each.sku_id: each for each in order.shortages or ()},
        clicks=int(clicks) if clicks in map(str, range(2, 100)) else 0,
        again=visit.query.text("again") == _AGAIN,
        placed="placed" in visit.query,
        notice=visit.query.text("notice"),
    )


def _is_queued(visit: Visit, order_id: str) -> bool:
    """Whether the address proves that this buyer has queued the order, and it may still be decided."""
    state = visit.state
    since_ms = state.tokens.proofs.since_ms(visit.query.text("pending"), order_id, visit.user_id)
    return since_ms is not None and now_ms() < since_ms + state.settings.keep_ms


async def _orders(visit: Visit) -> Response:
    user_id, cursor = visit.user_id, visit.query.text("cursor")

    def read(conn: Connection) -> tuple[queries.Page[queries.Order], dict[str, queries.SkuName]]:
        found = queries.orders(conn, user_id, limit=PER_PAGE, cursor=cursor or None)
        skus = {line.sku_id for order in found.items for line in order.lines}
        return found, queries.sku_names(conn, skus)

    found, names = await visit.read(read)
    return await visit.page("orders", found=found, names=names)


async def _cancel(visit: Visit) -> Response:
    order_id = visit.path_ids["order_id"]
    body = {"reason": visit.form.text("reason")}
    answer = await visit.command("POST", "/v1/orders/{order_id}/cancel", {"order_id": order_id}, body)
    return after(visit, order_id, answer.status, answer.code)


def after(visit: Visit, order_id: str, status: int, code: str) -> Response:
    """Back to the order, which says what has become of it: its state, and the code of a refusal.

    Raises:
        ProblemError: ORDER_NOT_FOUND.
    """
    if code == "ORDER_NOT_FOUND":
        raise ProblemError(code, "")
    return visit.go(f"/shop/orders/{order_id}", notice=code or ("PENDING" if status == 202 else ""))


ORDERS = (
    PageRoute("POST", "/shop/orders", _place),
    PageRoute("GET", "/shop/orders", _orders),
    PageRoute("GET", "/shop/orders/{order_id}", _order),
    PageRoute("POST", "/shop/orders/{order_id}/cancel", _cancel),
)
