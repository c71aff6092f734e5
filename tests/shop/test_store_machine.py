"""The same state machine as in memory, over the real store on SQLite: domain, store and model agree at every step."""

import asyncio

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from stockade.core import Guard
from stockade.shop import queries
from stockade.shop.audit import audit
from stockade.shop.migrations import SCHEMA
from stockade.store import Database
from tests.shop.runner import Runner
from tests.unit.shop.machine import ShopMachine

FEW = settings(max_examples=8, stateful_step_count=25, deadline=None)


class StoreMachine(ShopMachine):
    """The machine over a SqlStore; at the end the audit looks at what is left."""

    guard = Guard.ROW

    def __init__(self):
        super().__init__()
        self.loop = asyncio.Runner()
        self.database = self.loop.run(Database.open("sqlite://"))
        self.loop.run(SCHEMA.create_all(self.database))
        self.runner = Runner(self.database, self.guard)

    def teardown(self):
        try:
            assert self.read(audit) == []
        finally:
            self.loop.run(self.database.close())
            self.loop.close()

    def read(self, query):
        """A query's answer."""
        return self.loop.run(self.database.read(query))

    def execute(self, command):
        return self.loop.run(self.runner.execute(command))

    def stock(self, sku):
        found = self.read(lambda c: queries.stock(c, sku))
        return found.on_hand, found.reserved

    def balance(self, user):
        found = self.read(lambda c: queries.points(c, user))
        return found and found.balance

    def cart(self):
        return {
            (user, item.sku_id) for user in ("u", "v") for item in self.read(lambda c, u=user: queries.cart(c, u)).items
        }

    def status(self, order_id):
        return self.read(lambda c: queries.order(c, order_id, None)).status


class DeltaMachine(StoreMachine):
    """The same with conditional updates, whose ledger follows the database's figures."""

    guard = Guard.DELTA


def test_the_store_does_what_the_model_does():
    """Random histories under row locks."""
    run_state_machine_as_test(StoreMachine, settings=FEW)


def test_conditional_updates_do_what_the_model_does():
    """Random histories under DELTA."""
    run_state_machine_as_test(DeltaMachine, settings=FEW)
