"""The simulated database does what a real one does: the same commands, one after another, in both."""

import asyncio
import random

from sqlalchemy import insert, select

from stockade.core import Guard, GuardKind
from stockade.lab.execution.processes.answers import of_outcome
from stockade.lab.history.operation import OK
from stockade.lab.simulation.settings import Settings
from stockade.lab.simulation.simulation import Simulation
from stockade.lab.simulation.workload import Mix
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.shop.model.tables import metadata, products
from stockade.store.engine.database import Database
from stockade.store.schema.tables import ledger
from stockade.store.transaction.transact import SqlStore

GUARDS = (Guard.ROW, Guard.VERSION, Guard.TIMESTAMP, Guard.DELTA, Guard.SERIALIZABLE, Guard(GuardKind.FENCE))
COMMANDS = 60


def mix():
    """One source of commands; some of them are sent twice."""
    return Mix(5, stock=12, balance=400, later_steps=0.3)


async def carried_out(store, source):
    """The answers to the commands under each guard in turn, and the order in which they were asked."""
    rng, answers, now = random.Random(1), [], asyncio.get_running_loop().time
    for number in range(COMMANDS):
        command = source.next().command
        for _ in range(1 + (rng.random() < 0.2)):
            (answer,) = await store.transact([command], GUARDS[number % len(GUARDS)], deadline=now() + 5.0)
            assert not isinstance(answer, Exception), answer
            told = of_outcome(answer)
            answers.append((told.type, told.code, told.replayed, told.answer, dict(told.versions)))
        if told.type == OK and command.name == "place_order":
            source.placed.append((command.request_id, command.user_id))
    return answers


def simulated():
    """The answers and the ledger of the simulated database."""
    simulation = Simulation(5, Settings("optimistic", processes=1, clients=0))
    simulation.mix = mix()
    results = []

    def play_commands():
        (service,) = simulation.services
        service.run(carried_out(service.store, mix()), lambda task: results.append(task.result()))
        simulation._run(lambda: results, "the commands", 300.0)

    simulation._plan_faults = play_commands
    played = simulation.play()
    return results[0], entries(line._asdict() for line in played.history.final.ledger)


def entries(lines):
    """Ledger lines in one form and order."""
    return sorted((line["key"], line["version"], line["request_id"], line["delta"], line["held"]) for line in lines)


async def test_the_same_commands_give_the_same_answers_as_on_sqlite(tmp_path):
    """Outcomes, versions, replays and ledger of 60 commands under six guards; equal on both."""
    database = await Database.open(f"sqlite:///{tmp_path}/shop.db")
    try:
        await SCHEMA.migrate(database)
        product = {
            "id": "p",
            "name": "p",
            "category": "c",
            "status": "ACTIVE",
            "created_ms": 1,
            "version": 1,
            "stamp": 1,
        }
        await database.write(lambda c: c.execute(insert(products), product), timeout_s=5.0)
        for table, record in mix().initial().values():
            into = metadata.tables[table]
            await database.write(lambda c, i=into, r=record: c.execute(insert(i), r), timeout_s=5.0)
        real = await carried_out(SqlStore(database, SHOP_RESOURCES), mix())
        rows = await database.read(lambda c: c.execute(select(ledger)).mappings().all())
        found = entries({**row, "key": f"{row['kind']}:{row['row_id']}"} for row in rows)
    finally:
        await database.close()
    answers, written = await asyncio.to_thread(simulated)
    assert answers == real
    assert {type_ for type_, *_ in answers} == {"ok", "refused"}
    assert written == found
