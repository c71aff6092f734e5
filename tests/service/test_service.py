"""`open_service`: strategies by group, registered guards, the names of the store's tables, clear refusals."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from sqlalchemy import inspect

from coupons.application import APPLICATION, TABLES
from stockade.core import Accepted, GuardKind
from stockade.service import Unsuitable, open_service
from stockade.store import Database, StoreTables
from stockade.store.guards_in_use import GuardRefused
from stockade.strategies.options import Options
from stockade.testing import Rendezvous, race_commands
from tests.service.conftest import campaign, give

MEET_WAIT_S = 15.0  # of those that will meet, on a machine however busy
OPTIONS = Options(wait_s=20.0)
USERS = ("ann", "bob")


@pytest.mark.parametrize("strategy", ["sequencer", "pessimistic", "conditional"])
async def test_each_coupon_is_given_once(database, strategy):
    """Of 30 users who ask at once for 20 coupons, 20 get one, with the numbers 1 to 20; the audit is content."""
    counted = []
    async with open_service(APPLICATION, database, strategy) as service:
        service.count = lambda *labels: counted.append(labels)
        await service.execute(campaign(20))
        results = await race_commands(service.execute, [give(f"user-{n}") for n in range(30)])
    given = [each.data["number"] for each in results if isinstance(each, Accepted)]
    assert sorted(given) == list(range(1, 21))
    assert await database.read(APPLICATION.audit) == []
    assert {labels[1] for labels in counted} == {strategy}
    assert [labels[2] for labels in counted].count("SOLD_OUT") == 10


@pytest.mark.parametrize(("strategy", "left"), [("unprotected", 1), ("pessimistic", 0)])
async def test_two_transactions_that_meet(database, database_url, strategy, left):
    """Both read before either writes: without protection one of two coupons is given twice; with it, none (control)."""
    meeting = Rendezvous(timeout_s=MEET_WAIT_S if left else 0.5)  # who meets goes on at once, who is locked out waits
    async with open_service(APPLICATION, database, strategy, allow_overselling=True) as service:
        await service.execute(campaign(2))
    async with AsyncExitStack() as stack:
        options = {"allow_overselling": True, "checkpoint": meeting}
        services = [
            await stack.enter_async_context(open_service(APPLICATION, each, strategy, OPTIONS, **options))
            for each in (database, database_url)  # on SQLite a service reads in one thread, where two never meet
        ]
        results = await asyncio.gather(*(each.execute(give(user)) for each, user in zip(services, USERS, strict=True)))
    assert all(isinstance(each, Accepted) for each in results), results
    assert meeting.met
    numbers = sorted(each.data["number"] for each in results)
    assert numbers == ([1, 1] if left else [1, 2])
    assert bool(await database.read(APPLICATION.audit)) == bool(left)


async def test_the_store_has_tables_of_its_own_names(database):
    """All tables of the store carry the prefix, so the project may have an `outbox` and `requests` of its own."""
    names = await database.read(lambda connection: inspect(connection).get_table_names())
    assert {"campaigns", "coupons", "stockade_requests", "stockade_outbox"} <= set(names)
    assert not {"requests", "outbox", "ledger", "products"} & set(names)


async def test_wrong_choices_are_refused_with_a_message(small):
    """An unknown strategy, one that oversells, one for another database, a group without one, other table names."""

    async def opened(strategy, database=small, **options):
        async with open_service(APPLICATION, database, strategy, **options) as service:
            await service.execute(campaign())

    for strategy, says in (
        ("pesimistic", "must be one of unprotected, in-process"),
        ("unprotected", "sells units more than once"),
        ("advisory", "does not run on sqlite, only on postgres"),
        ({"": "sequencer", "coupons": "in-process"}, "every group must use the same one"),
    ):
        with pytest.raises(Unsuitable, match=says):
            await opened(strategy)
    with pytest.raises(ValueError, match="group 'coupons', which has no strategy; there are: other"):
        await opened({"other": "sequencer"})
    with pytest.raises(ValueError, match="names no strategy"):
        await opened({})
    async with asyncio.timeout(20):
        plain = await Database.open("sqlite://")
    try:
        with pytest.raises(ValueError, match="pass the same `tables` to both"):
            await opened("sequencer", plain)
    finally:
        await plain.close()


async def test_an_incompatible_process_is_refused(database):
    """Beside a service under row locks nobody starts who takes no account of them; beside it a second one does."""
    async with open_service(APPLICATION, database, "pessimistic") as first:
        assert first.strategies[""].guard.kind is GuardKind.ROW
        async with open_service(APPLICATION, database, "optimistic"):
            pass
        with pytest.raises(GuardRefused, match="beside pessimistic work"):
            async with open_service(APPLICATION, database, "in-process"):
                pass


def test_table_names_of_the_example():
    """The example names its tables as the tutorial says."""
    assert StoreTables(prefix="stockade_") == TABLES
