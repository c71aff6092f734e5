"""The audit of an application of one's own: sound after a race, and every rule finds what breaks it."""

import pytest
from sqlalchemy import delete, insert, select, update

from coupons.application import APPLICATION
from coupons.tables import campaigns, coupons
from stockade.service import open_service
from stockade.store.schema.tables import StoreTables
from stockade.testing import race_commands
from tests.service.conftest import campaign, give
from tests.store.conftest import soon

LEDGER = APPLICATION.tables.ledger


def again(connection):
    """Write a version of the campaign twice."""
    entry = dict(connection.execute(select(LEDGER).where(LEDGER.c.version == 2)).mappings().first())
    connection.execute(insert(LEDGER), [{**entry, "request_id": "f" * 32}])


BREAKAGES = {
    "ledger-sum": update(campaigns).values(free=campaigns.c.free + 1),
    "below-zero": update(LEDGER).where(LEDGER.c.kind == "campaign", LEDGER.c.version == 1).values(amount_after=-1),
    "version-gap": delete(LEDGER).where(LEDGER.c.kind == "campaign", LEDGER.c.version == 2),
    "ledger-chain": update(LEDGER).where(LEDGER.c.kind == "campaign", LEDGER.c.version == 2).values(amount_after=3),
    "row-missing": delete(coupons),
    "repeated-version": again,
    "one-each": update(coupons).values(user_id="ann"),
    "first-come": update(campaigns).values(size=1),
}


@pytest.fixture
async def given(database):
    """Two coupons of ten are given."""
    async with open_service(APPLICATION, database, "pessimistic") as service:
        await service.execute(campaign(10))
        await race_commands(service.execute, [give("ann"), give("bob"), give("ann")])
    return database


async def test_every_breakage_is_found(given):
    """A sound database has no violation (control); each breakage, undone after it, breaks its rule."""
    assert await given.read(APPLICATION.audit) == []

    class Undo(Exception):
        """Rolls the breakage back."""

    found = {}
    for rule, breakage in BREAKAGES.items():

        def broken(connection, rule=rule, breakage=breakage):
            breakage(connection) if callable(breakage) else connection.execute(breakage)
            found[rule] = {each.rule for each in APPLICATION.audit(connection)}
            raise Undo

        with pytest.raises(Undo):
            await given.transaction(broken, deadline=soon(20))
    assert {rule for rule, rules in found.items() if rule not in rules} == set()
    assert await given.read(APPLICATION.audit) == []
    assert APPLICATION.tables == StoreTables(prefix="stockade_")
