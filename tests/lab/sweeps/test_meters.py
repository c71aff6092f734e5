"""What measures a burst: connections, the section, processor time."""

import asyncio
import os
import time

import pytest

from stockade.lab.execution.metered_database import ConnectionUse, MeteredDatabase
from stockade.lab.execution.section import section
from stockade.lab.sweeps.playing.processor_time import processor_ns, spent_ms

HELD_S = 0.03


async def test_connections_times_time_is_what_callers_held_and_waited(database_url):
    """Two callers of one connection: both hold it for the length of their transaction, the second waits for that."""
    database = await MeteredDatabase.open(database_url, pool_size=1)
    try:
        pause = section(HELD_S * 1000)

        async def call():
            await database.transaction(lambda connection: pause("loaded"), deadline=time.monotonic() + 10)

        await call()  # opens the connection
        before = database.use
        await asyncio.gather(call(), call())
        used = database.use - before
        assert used.held_s >= 2 * HELD_S
        assert HELD_S <= used.waited_s <= used.held_s
        before = database.use
        await database.read(lambda connection: connection.exec_driver_sql("SELECT 1").scalar_one())
        assert (database.use - before).held_s > 0
    finally:
        await database.close()


def test_uses_of_processes_are_added():
    """Each process measures for itself."""
    assert ConnectionUse(1, 2) + ConnectionUse(3, 4) - ConnectionUse(1, 1) == ConnectionUse(3, 5)


def test_a_section_pauses_between_reading_and_writing_only():
    """Other fault points pass, and a section of no length does nothing."""
    began = time.monotonic()
    for point in ("begin", "saved", "committed"):
        section(10_000)(point)
    section(0)("loaded")
    assert time.monotonic() - began < 5
    began = time.monotonic()
    section(20)("loaded")
    assert time.monotonic() - began >= 0.02


def test_processor_time_is_of_those_who_compute():
    """A loop of 30 ms of this thread is counted, and a process that is away has none."""
    before = processor_ns([os.getpid()])
    if before is None:
        pytest.skip("this system does not count it")
    spent = time.thread_time()
    while time.thread_time() - spent < 0.03:
        pass
    assert spent_ms(before, processor_ns([os.getpid()])) >= 25
    assert processor_ns([2**22 + 1]) == {}
    assert spent_ms(None, {}) is None
    assert spent_ms({(1, 1): 5_000_000}, {(1, 1): 7_000_000, (1, 2): 1_000_000}) == 3
