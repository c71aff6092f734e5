"""Payments of a reserved order: with points, or through the gateway with what its page returned.

Neighbour: `orders` shows the order afterwards.
"""

from stockade.gateways.registry import TEST
from stockade.shop.front.page_route import PageRoute
from stockade.shop.front.pages.orders import after
from stockade.shop.front.visit import Visit
from stockade.shop.http.responses.response import Response
from stockade.shop.model import constants
from stockade.shop.model.limits import MAX_AMOUNT

CARDS = ("card", "fault-decline", "fault-slow")  # what the test gateway's buyer may choose; see its faults


async def _pay(visit: Visit) -> Response:
    order_id = visit.path_ids["order_id"]
    body: dict[str, object] = {"method": constants.POINTS}
    if visit.form.text("method") == constants.PG:
        body = {
            "method": constants.PG,
            "payment_key": payment_key(visit),
            "amount": visit.form.number("amount", 1, MAX_AMOUNT),
        }
    answer = await visit.command("POST", "/v1/orders/{order_id}/payments", {"order_id": order_id}, body)
    return after(visit, order_id, answer.status, answer.code)


def payment_key(visit: Visit) -> str:
    """The key of the form; with the test gateway that of a card, which belongs to this form alone."""
    if visit.gateway == TEST and (card := visit.form.text("card")) in CARDS:
        return f"{card}-{visit.form.text('key')}"
    return visit.form.text("payment_key")


PAYMENTS = (PageRoute("POST", "/shop/orders/{order_id}/pay", _pay),)
