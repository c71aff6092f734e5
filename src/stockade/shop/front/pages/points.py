"""Points: the balance, its movements, and a charge, at once or through the gateway."""

from sqlalchemy import Connection

from stockade.shop import queries
from stockade.shop.front.page_route import PageRoute
from stockade.shop.front.pages.payments import payment_key
from stockade.shop.front.visit import Visit
from stockade.shop.http.responses.problems import ProblemError
from stockade.shop.http.responses.response import Response
from stockade.shop.model import constants
from stockade.shop.model.limits import MAX_AMOUNT

PER_PAGE = 15


async def _points(visit: Visit) -> Response:
    user_id, cursor = visit.user_id, visit.query.text("cursor")

    def read(conn: Connection) -> tuple[queries.Points | None, queries.Page[queries.PointEntry] | None]:
        entries = queries.point_entries(conn, user_id, limit=PER_PAGE, cursor=cursor or None)
        return queries.points(conn, user_id), entries

    account, entries = await visit.read(read)
    return await visit.page(
        "points",
        account=account,
        entries=entries,
        charged=visit.query.text("charged") == "yes",
        again=visit.query.text("again") == "yes",
        notice=visit.query.text("notice"),
    )


async def _charge(visit: Visit) -> Response:
    method = constants.PG if visit.form.text("method") == constants.PG else constants.INSTANT
    body = {"amount": visit.form.number("amount", 1, MAX_AMOUNT), "method": method}
    ids = {"user_id": visit.user_id}
    answer = await visit.command("POST", "/v1/users/{user_id}/point-charges", ids, body)
    if not answer.code and method == constants.PG and answer.status != 202:
        return visit.go(f"/shop/charges/{answer.data['charge_id']}")
    if answer.code or answer.status == 202:
        return visit.go("/shop/points", notice=answer.code or "PENDING")
    return visit.go("/shop/points", charged="yes", again="yes" if answer.replayed else "")


async def _open_charge(visit: Visit) -> Response:
    charge_id, owner = visit.path_ids["charge_id"], visit.owner
    found = await visit.read(lambda conn: queries.charge(conn, charge_id, owner))
    if found is None:
        raise ProblemError("CHARGE_NOT_FOUND", "")
    return await visit.page("charge", charge=found, notice=visit.query.text("notice"))


async def _confirm(visit: Visit) -> Response:
    charge_id = visit.path_ids["charge_id"]
    body = {"payment_key": payment_key(visit), "amount": visit.form.number("amount", 1, MAX_AMOUNT)}
    ids = {"charge_id": charge_id}
    answer = await visit.command("POST", "/v1/point-charges/{charge_id}/confirm", ids, body)
    if answer.code == "CHARGE_NOT_FOUND":
        raise ProblemError(answer.code, "")
    notice = answer.code or ("PENDING" if answer.status == 202 else "")
    return visit.go(f"/shop/charges/{charge_id}", notice=notice)


POINTS = (
    PageRoute("GET", "/shop/points", _points),
    PageRoute("POST", "/shop/points", _charge),
    PageRoute("GET", "/shop/charges/{charge_id}", _open_charge),
    PageRoute("POST", "/shop/charges/{charge_id}/confirm", _confirm),
)
