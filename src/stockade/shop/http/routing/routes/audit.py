"""The audit of the live database, for administrators. Neighbour: `shop.audit` holds the rules."""

from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import Connection

from stockade.shop.audit import audit
from stockade.shop.http.requests.authorization import Access
from stockade.shop.http.routing.route import RequestContext, Route

READ_WAIT_S = 60.0


class ViolationBody(msgspec.Struct, frozen=True):
    """A broken rule: which one, at what, what should be there and what is."""

    rule: Annotated[str, Meta(description="Id of the rule.", examples=["ledger-sum"])]
    subject: Annotated[str, Meta(description="Where it is broken.", examples=["stock:sku-1"])]
    expected: Annotated[int | str, Meta(description="What should be there.", examples=["100 (0 held)"])]
    actual: Annotated[int | str, Meta(description="What is there.", examples=["99 (0 held)"])]


class Audit(msgspec.Struct, frozen=True):
    """What an audit found; `ok` when nothing."""

    ok: Annotated[bool, Meta(description="Whether every rule holds.", examples=[True])]
    violations: Annotated[list[ViolationBody], Meta(description="At most 20 for each rule.")]


def _audit(connection: Connection, request: RequestContext) -> Audit:
    found = audit(connection)
    return Audit(not found, [ViolationBody(*each) for each in found])


AUDIT = (
    Route(
        method="GET",
        path="/v1/audit",
        summary="Check every invariant of the database by summation",
        about="Sums up the whole database, in up to a minute. A sound shop has no violation.",
        access=Access.ADMIN,
        response=Audit,
        read=_audit,
        read_wait_s=READ_WAIT_S,
    ),
)
