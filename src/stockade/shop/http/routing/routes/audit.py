"""The audit of the live database, for administrators. Neighbour: `shop.audit` holds the rules."""

import msgspec
from sqlalchemy import Connection

from stockade.shop.audit import audit
from stockade.shop.http.requests.authorization import Access
from stockade.shop.http.routing.route import RequestContext, Route

READ_WAIT_S = 60.0


class ViolationBody(msgspec.Struct, frozen=True):
    """A broken rule: which one, at what, what should be there and what is."""

    rule: str
    subject: str
    expected: int | str
    actual: int | str


class Audit(msgspec.Struct, frozen=True):
    """What an audit found; `ok` when nothing."""

    ok: bool
    violations: list[ViolationBody]


def _audit(connection: Connection, request: RequestContext) -> Audit:
    found = audit(connection)
    return Audit(not found, [ViolationBody(*each) for each in found])


AUDIT = (
    Route(
        method="GET",
        path="/v1/audit",
        summary="Check every invariant of the database by summation",
        access=Access.ADMIN,
        response=Audit,
        read=_audit,
        read_wait_s=READ_WAIT_S,
    ),
)
