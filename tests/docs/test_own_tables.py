"""docs/how-to/own-tables.md: its program runs, prints what the page says, and holds under the strategies it names."""

from uuid import uuid4

import pytest
from sqlalchemy import text

from stockade.store import STORE_SCHEMA, Database, SqlStore
from stockade.strategies import registry
from stockade.strategies.options import Options
from tests.docs.blocks import blocks, program
from tests.store.conftest import soon
from tests.store.given.engines import engine_of

PAGE = "how-to/own-tables.md"


async def test_the_program_prints_what_the_page_says(capsys):
    """The blocks are one program, and its output is the block that the page shows."""
    module = program(PAGE, name="own_tables_page")
    await module.main()
    assert capsys.readouterr().out == blocks(PAGE, "text")[0]


async def test_the_program_takes_ids_of_every_length(database_url):
    """A booking with long ids is accepted: its fingerprint stays within the limit of the store."""
    module = program(PAGE, name="own_tables_page")
    database = await Database.open(database_url)
    try:
        await STORE_SCHEMA.migrate(database)
        await database.transaction(module.own.create_all, deadline=soon(20))
        booking = module.BookSeat(uuid4().hex, "hamlet-in-the-large-hall-on-monday", "a-user-with-a-long-name", 1)
        strategy = registry.create("pessimistic", SqlStore(database, [module.SEATS]), Options(wait_s=5))
        await strategy.start()
        assert (await strategy.execute(booking)).accepted
        await strategy.stop()
    finally:
        await database.close()


async def test_the_program_over_an_engine(database_url):
    """The page's store over an engine: its tables have the prefix, and the engine works after it was closed."""
    module = program(PAGE, name="own_tables_page")
    async with engine_of(database_url) as engine:
        store = await module.store_over(engine)
        async with engine.begin() as connection:
            await connection.run_sync(module.own.create_all)
        strategy = registry.create("sequencer", store, Options(wait_s=5))
        await strategy.start()
        assert (await strategy.execute(module.BookSeat(uuid4().hex, "hamlet", "u", 1))).accepted
        await strategy.stop()
        await store.database.close()
        async with engine.connect() as connection:
            count = await connection.execute(text("SELECT count(*) FROM stockade_requests"))
            assert count.scalar_one() == 1


@pytest.mark.parametrize("strategy", ["conditional", "pessimistic", "optimistic", "in-process", "serializable"])
async def test_the_program_is_right_under_another_strategy(capsys, strategy):
    """Five of eight bookings are accepted under every strategy that protects rows."""
    await program(PAGE, name="own_tables_page").main(strategy_name=strategy)
    assert capsys.readouterr().out == blocks(PAGE, "text")[0]
