"""Checks every invariant of a live database by summation in SQL; only violations leave the database.

One function for each rule, and one pass for several rules that says which of them must look closer (`screen`). `audit`
may run beside orders: see `finding.Scope.rows`. Neighbours: `store.tables` is what it reads, `words` what it expects;
the command line, HTTP and the lab report what it finds.
"""

from sqlalchemy import Connection

from stockade.shop.audit.plan import SCREENS, UNSCREENED
from stockade.shop.audit.rule import Scope, Violation
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
    suspects = {rule for screen in SCREENS for rule in screen.look(conn)} | set(UNSCREENED)
    return [violation for rule in RULES if rule in suspects for violation in rule(conn, scope)]


__all__ = ["RULES", "LongAudit", "Summary", "Violation", "audit", "summary"]
