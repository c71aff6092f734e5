"""Checks every invariant of a live database by summation in SQL; only violations leave the database.

One function for each rule. `audit` may run beside orders: see `finding.Scope.rows`. Neighbours: `store.tables` is what
it reads, `words` what it expects; the command line, HTTP and the lab report what it finds.
"""

from sqlalchemy import Connection

from stockade.shop.audit.finding import Scope, Violation
from stockade.shop.audit.rules import RULES
from stockade.shop.audit.run import LongAudit
from stockade.shop.audit.summary import Summary, summary


def audit(conn: Connection, *, limit: int = 20) -> list[Violation]:
    """Check all rules.

    Args:
        conn: a connection to read on.
        limit: violations that one rule reports at most.

    Returns:
        What is wrong; nothing when all is well.
    """
    scope = Scope(limit)
    return [violation for rule in RULES for violation in rule(conn, scope)]


__all__ = ["RULES", "LongAudit", "Summary", "Violation", "audit", "summary"]
