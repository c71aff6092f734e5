"""The audit rules of this project, beside those that stockade checks for every resource."""

from collections.abc import Iterator

from sqlalchemy import Connection, func, or_, select

from coupons.tables import campaigns, coupons
from stockade.service.audit import Finding, Scope, rule


@rule("one-each")
def one_each(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """No user has two coupons of one campaign."""
    statement = (
        select(coupons.c.campaign_id, coupons.c.user_id, func.count())
        .group_by(coupons.c.campaign_id, coupons.c.user_id)
        .having(func.count() > 1)
    )
    for campaign, user, count in scope.rows(conn, statement):
        yield f"campaign:{campaign} user:{user}", 1, int(count)


@rule("first-come")
def first_come(conn: Connection, scope: Scope) -> Iterator[Finding]:
    """Each campaign has given exactly the coupons that are no longer free, and no more than its size."""
    given = func.count(coupons.c.id)
    statement = (
        select(campaigns.c.id, campaigns.c.size, campaigns.c.free, given)
        .join_from(campaigns, coupons, coupons.c.campaign_id == campaigns.c.id, isouter=True)
        .group_by(campaigns.c.id, campaigns.c.size, campaigns.c.free)
        .having(or_(given > campaigns.c.size, given != campaigns.c.size - campaigns.c.free))
    )
    for campaign, size, free, count in scope.rows(conn, statement):
        yield f"campaign:{campaign}", f"{size - free} given of {size}", f"{count} coupons"


RULES = (one_each, first_come)
