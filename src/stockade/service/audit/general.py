"""The rules that hold for every resource of an application, and the audit that checks them beside its own rules.

Rows with counters must be made by a `Change`, so that the ledger has their first amount too.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from stockade.service.audit import counters
from stockade.service.audit.counters import Followed
from stockade.service.audit.rule_types import Rule, Scope, Violation
from stockade.store.schema.resource import Resource
from stockade.store.schema.tables import DEFAULT, StoreTables


def rules_of(resources: Sequence[Resource], tables: StoreTables = DEFAULT) -> tuple[Rule, ...]:
    """The general rules for these resources.

    Each row exists that the ledger names, and no version of a row was written twice. Of rows with counters, moreover,
    no amount is below zero, each is the sum of its ledger, and no version is missing.

    Args:
        resources: of the application.
        tables: the store's tables in its database.
    """
    ledger = tables.ledger
    kept = [each for each in resources if not each.many]
    counted = [each for each in kept if each.counters]
    followed = [Followed(each, 1) for each in kept]
    of_counters: tuple[Rule, ...] = ()
    if counted:
        followed_counted = [each for each in followed if each.resource.counters]
        made = [make(counted, ledger) for make in (counters.below_zero, counters.ledger_sum, counters.ledger_chain)]
        of_counters = (*made, counters.version_gap(followed_counted, ledger))
    return (*of_counters, counters.repeated_version(ledger), counters.row_missing(followed, ledger))


def audit(
    connection: Connection,
    resources: Sequence[Resource],
    rules: Sequence[Rule] = (),
    *,
    limit: int = 20,
    tables: StoreTables = DEFAULT,
) -> list[Violation]:
    """Check the general rules and those of the application.

    Args:
        connection: to read on.
        resources: of the application.
        rules: of its own.
        limit: the most violations that one rule reports.
        tables: the store's tables in this database.

    Returns:
        The violations; empty where all rules hold.
    """
    scope = Scope(limit)
    return [violation for each in (*rules, *rules_of(resources, tables)) for violation in each(connection, scope)]
