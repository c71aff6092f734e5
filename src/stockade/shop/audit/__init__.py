"""Checks every invariant of a live database by sums in SQL; only violations leave the database.

Each rule is a function. Screens (`screen.py`) are faster checks of several rules at once; only the rules that a screen
suspects run. The audit may run beside orders: see `rule.Scope.rows`.
Neighbours: the command line, HTTP and the lab report the violations.
"""

from sqlalchemy import Connection

from stockade.service.audit.rule_types import Scope, Violation
from stockade.shop.audit.long_audit import LongAudit
from stockade.shop.audit.rules import RULES, SCREENS, rules_to_run
from stockade.shop.audit.summary import Summary, summary


def audit(conn: Connection, *, limit: int = 20) -> list[Violation]:
    """Check all rules.

    Args:
        conn: a connection to read on.
        limit: the most violations that one rule reports.

    Returns:
        The violations; empty in a sound shop.
    """
    scope = Scope(limit)
    rules = rules_to_run(screen.look(conn) for screen in SCREENS)
    return [violation for rule in rules for violation in rule(conn, scope)]


__all__ = ["RULES", "LongAudit", "Summary", "Violation", "audit", "summary"]
