"""For administrators: the stock of every SKU, the audit, and the events that no sink has taken.

Neighbours: `shop.audit` has the rules, `store.outbox` the events, `kafka.dead_letters` the commands that no worker
could carry out; `stockade dead-letters` shows and sends again everything.
"""

import asyncio
import time
from typing import Any, NamedTuple

from sqlalchemy import Connection

from stockade.core import Busy
from stockade.kafka.dead_letters import DeadLetter, dead_letters
from stockade.service.audit.rule_types import Violation
from stockade.shop import queries
from stockade.shop.audit import RULES, Summary, audit, summary
from stockade.shop.config.strategy_options import kafka_options
from stockade.shop.front.page_route import PageRoute
from stockade.shop.front.visit import Visit
from stockade.shop.http.requests.authorization import Access
from stockade.shop.http.responses.response import Response
from stockade.shop.http.routing.routes.audit import READ_WAIT_S
from stockade.shop.model.limits import MAX_REASON, MAX_STOCK
from stockade.store.outbox import Outbox

PER_PAGE = 25
MAX_LETTERS = 50
MAX_COUNTED = 1_000
MAX_SHOWN_BYTES = 2_000
LOG_WAIT_S = 10.0
MAX_ID = 2**63 - 1  # of an event


class _Letter(NamedTuple):
    """An event that a sink refused, or a command that no worker could carry out."""

    number: int
    what: str
    key: str
    why: str
    body: str


async def _stock(visit: Visit) -> Response:
    cursor = visit.query.text("cursor")
    found = await visit.read(lambda conn: queries.stock_list(conn, limit=PER_PAGE, cursor=cursor or None))
    refused = {name: visit.query.text(name) for name in ("sku", "delta", "reason")}
    return await visit.page(
        "admin/stock", found=found, cursor=cursor, notice=visit.query.text("notice"), refused=refused
    )


async def _adjust(visit: Visit) -> Response:
    form = visit.form
    body = {"delta": form.number("delta", -MAX_STOCK, MAX_STOCK), "reason": form.text("reason")}
    route = "/v1/skus/{sku_id}/stock-adjustments"
    answer = await visit.command("POST", route, {"sku_id": form.text("sku")}, body)
    notice = answer.code or ("PENDING" if answer.status == 202 else "DONE")
    # a refused form is shown again in its row, as it was filled in
    kept = {name: form.text(name)[:MAX_REASON] for name in ("sku", "delta", "reason")} if answer.code else {}
    return visit.go("/shop/admin", cursor=form.text("cursor"), notice=notice, **kept)


async def _audit_page(visit: Visit) -> Response:
    return await visit.page("admin/audit", done=False, rules=len(RULES), too_long="")


async def _audit(visit: Visit) -> Response:
    """Run it: a read of its own, with the bounds of the API's `GET /v1/audit`."""

    def check(conn: Connection) -> tuple[Summary, list[Violation]]:
        return summary(conn), audit(conn)

    begun_s = time.perf_counter()
    try:
        figures, violations = await visit.read(check, wait_s=READ_WAIT_S)
    except Busy:
        if time.perf_counter() - begun_s < READ_WAIT_S:
            raise
        return await visit.page("admin/audit", 503, done=False, rules=len(RULES), too_long=f"{READ_WAIT_S:g}")
    took_s = time.perf_counter() - begun_s
    found: dict[str, Any] = {"figures": figures, "violations": violations, "took_s": f"{took_s:.2f}"}
    return await visit.page("admin/audit", done=True, rules=len(RULES), too_long="", **found)


async def _events(visit: Visit) -> Response:
    state = visit.state
    outbox = Outbox(state.shop.database)
    lag, dead = await outbox.lag(MAX_COUNTED), await outbox.dead(MAX_LETTERS)
    events = [_Letter(event.id, event.kind, event.key, why, _text(event.body)) for event, why in dead]
    letters, reached = await _of_the_log(visit)
    return await visit.page(
        "admin/events",
        sink=state.settings.events,
        lag=lag,
        dead=events,
        most=MAX_COUNTED,
        log=bool(state.settings.kafka_bootstrap),
        letters=letters,
        reached=reached,
        sent=visit.query.text("sent"),
    )


async def _of_the_log(visit: Visit) -> tuple[list[_Letter], bool]:
    """Commands that no worker could carry out, and whether the brokers answered."""
    settings = visit.state.settings
    if not settings.kafka_bootstrap:
        return [], True
    try:
        async with asyncio.timeout(LOG_WAIT_S):
            return [_of(each) for each in await dead_letters(kafka_options(settings), MAX_LETTERS)], True
    except (Busy, TimeoutError):  # the page says so; the events of the outbox are shown all the same
        return [], False


def _of(each: DeadLetter) -> _Letter:
    name = each.origin if each.command is None else each.command.name
    return _Letter(each.number, name, _text(each.record.key or b""), each.reason, "")


def _text(raw: bytes) -> str:
    return raw[:MAX_SHOWN_BYTES].decode(errors="replace")


async def _send_again(visit: Visit) -> Response:
    ids = visit.form.numbers("event", 1, MAX_ID)[:MAX_LETTERS]
    sent = await Outbox(visit.state.shop.database).requeue(ids) if ids else 0
    return visit.go("/shop/admin/events", sent=str(sent))


ADMIN = (
    PageRoute("GET", "/shop/admin", _stock, Access.ADMIN),
    PageRoute("POST", "/shop/admin/stock", _adjust, Access.ADMIN),
    PageRoute("GET", "/shop/admin/audit", _audit_page, Access.ADMIN),
    PageRoute("POST", "/shop/admin/audit", _audit, Access.ADMIN),
    PageRoute("GET", "/shop/admin/events", _events, Access.ADMIN),
    PageRoute("POST", "/shop/admin/events", _send_again, Access.ADMIN),
)
