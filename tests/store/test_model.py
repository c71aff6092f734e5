"""The store against a model: any sequence of batches, repeats and refusals leaves exactly what a dictionary would."""

import asyncio

import hypothesis.strategies as st
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import func, select

from stockade.core import Accepted, Guard, GuardKind, IdempotencyKeyReused, Rejected
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.tables import point_accounts, skus
from stockade.store import Database
from stockade.store.schema.tables import ledger, outbox, requests
from tests.store.commands import Charge, Take, rid
from tests.store.conftest import soon, stocked
from tests.store.stock_events import Level, levels

SKUS = ("a", "b")
USERS = ("u", "v")
KINDS = ["row", "version", "timestamp", "delta", "serializable"]
TAKES = st.builds(
    lambda n, skus, print_: Take(rid("take", n), print_, skus=skus),
    st.integers(0, 30),
    st.lists(st.sampled_from(SKUS), min_size=1, max_size=2, unique=True).map(tuple),
    st.sampled_from(["f", "f", "f", "g"]),
)
CHARGES = st.builds(
    lambda n, user, amount: Charge(rid("charge", n), f"{user}{amount}", user=user, amount=amount),
    st.integers(0, 15),
    st.sampled_from(USERS),
    st.integers(-150, 200),
)
STOCK = 6


class StoreMachine(RuleBasedStateMachine):
    """Runs batches through the store and through a model written with dictionaries only."""

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.database = self.runner.run(Database.open("sqlite://"))
        self.runner.run(SCHEMA.create_all(self.database))
        self.store = self.runner.run(stocked(self.database, *SKUS, n=STOCK))
        self.stock = dict.fromkeys(SKUS, STOCK)
        self.points = {}
        self.known = {}
        self.effects = len(SKUS)
        self.taken = 0
        self.version = dict.fromkeys(SKUS, 1)
        self.levels = {sku: [Level(0, 1, STOCK, 0)] for sku in SKUS}

    @rule(batch=st.lists(TAKES | CHARGES, min_size=1, max_size=6), kind=st.sampled_from(KINDS))
    def transact(self, batch, kind):
        """One batch: every answer is the model's."""
        answers = self.runner.run(self.store.transact(batch, Guard(GuardKind(kind)), deadline=soon()))
        before = dict(self.version)
        for command, answer in zip(batch, answers, strict=True):
            expected, replayed = self._model(command)
            if expected == "reused":
                assert isinstance(answer, IdempotencyKeyReused)
                continue
            assert answer.replayed == replayed
            assert isinstance(answer, Accepted if expected == "accepted" else Rejected)
        for sku in SKUS:  # once for the batch
            if self.version[sku] != before[sku]:
                self.levels[sku].append(Level(before[sku], self.version[sku], self.stock[sku], 0))

    def _model(self, command):
        if command.request_id in self.known:
            fingerprint, outcome = self.known[command.request_id]
            return (outcome, True) if fingerprint == command.fingerprint else ("reused", True)
        outcome = self._decide(command)
        self.known[command.request_id] = (command.fingerprint, outcome)
        return outcome, False

    def _decide(self, command):
        if isinstance(command, Take):
            if any(self.stock[sku] < 1 for sku in command.skus):
                return "rejected"
            for sku in command.skus:
                self.stock[sku] -= 1
                self.version[sku] += 1
            self.effects += len(command.skus)
            self.taken += 1
            return "accepted"
        balance = self.points.get(command.user, 0) + command.amount
        if balance < 0:
            return "rejected"
        self.points[command.user] = balance
        self.effects += 1
        return "accepted"

    @invariant()
    def the_database_is_the_model(self):
        """Rows, ledger sums, request rows and events are what the model counted."""

        def body(connection):
            one = connection.execute
            count = select(func.count())
            sums = select(ledger.c.row_id, func.sum(ledger.c.delta)).group_by(ledger.c.kind, ledger.c.row_id)
            return (
                {row.id: row.on_hand for row in one(select(skus))},
                {row.id: row.balance for row in one(select(point_accounts))},
                {row[0]: row[1] for row in one(sums)},
                one(count.select_from(ledger)).scalar_one(),
                one(count.select_from(requests)).scalar_one(),
                one(count.select_from(outbox).where(outbox.c.kind == "taken")).scalar_one(),
                levels(connection),
            )

        stock, points, sums, entries, ids, taken, told = self.runner.run(self.database.read(body))
        assert stock == self.stock
        assert points == self.points
        assert sums == {**self.stock, **self.points}
        assert (entries, ids, taken) == (self.effects, len(self.known) + len(SKUS) + 1, self.taken)
        assert told == self.levels

    def teardown(self):
        """Close what the run opened."""
        self.runner.run(self.database.close())
        self.runner.close()


StoreMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestStoreModel = StoreMachine.TestCase
