"""A shop over the log: fresh topic, fresh database, the strategy, workers here or in processes of their own."""

import asyncio
import itertools
import json
import os
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

from sqlalchemy import func, select

from stockade.core import Accepted, Guard
from stockade.kafka.admin import Admin
from stockade.kafka.options import KafkaOptions
from stockade.kafka.worker import KafkaWorker
from stockade.service.ids import derived_id
from stockade.shop.audit import audit
from stockade.shop.commands import ChargePoints, CreateProduct, NewSku, OrderLine, PlaceOrder
from stockade.shop.model.command_codec import COMMAND_CODEC
from stockade.shop.model.resources import SHOP_RESOURCES
from stockade.shop.model.tables import orders, skus
from stockade.store import SqlStore
from stockade.store.consumer_offsets import ConsumerOffsets
from stockade.store.schema.tables import ledger
from stockade.strategies.kafka import Kafka
from stockade.strategies.options import Options
from tests.cli.warm_start import warm_start
from tests.store.conftest import opened
from tests.store.stock_events import breaks

ROOT = Path(__file__).parents[2]
NOW_MS = 1_700_000_000_000
END_LIMIT_S = 30.0
SESSION_MS = 1_500  # our brokers allow it; by default 6 s is the shortest


class Process:
    """A worker process; its reports arrive line by line."""

    def __init__(self, child, stdout, pipe):
        self.child, self._stdout, self._pipe = child, stdout, pipe
        self.reports = []

    @classmethod
    async def start(cls, rig, at="", after=1, **changes):
        """Start `tests.kafka.child` on the rig's log; at the point `at`, the `after`-th time, it does `then`."""
        log = {"bootstrap": rig.log.bootstrap, "topic": rig.log.topic, "group": rig.log.group}
        given = {
            "url": rig.url,
            "log": {**log, "protocol": rig.log.protocol, "session_ms": rig.log.session_ms},
            "at": at,
            "after": after,
            "then": "kill",
            "max_batch": 1024,
            **changes,
        }
        reading, writing = os.pipe()
        with os.fdopen(writing, "wb") as theirs:  # at its end, without a child, the other side closes itself
            stdout = asyncio.StreamReader()
            pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(stdout), os.fdopen(reading, "rb")
            )
            where = {"cwd": ROOT, "env": dict(os.environ), "stdout": theirs.fileno(), "stderr": sys.__stderr__.fileno()}
            # no `await` from the start on: who is cancelled there would leave a child that nobody ends
            child = warm_start([json.dumps(given)], module="tests.kafka.child", **where)
            rig.processes.append(cls(child, stdout, pipe))
        return rig.processes[-1]

    async def wait_for(self, event, limit_s=40):
        """Wait for a report of this event; its fields."""
        async with asyncio.timeout(limit_s):
            while line := await self._stdout.readline():
                report = json.loads(line)
                self.reports.append(report)
                if report["event"] == event:
                    return report
        raise AssertionError(f"ended without {event}; it reported {self.reports}")

    def send(self, number):
        """Send a signal to this process."""
        self.child.send_signal(number)

    async def ended(self, limit_s=30):
        """Wait for its end; the exit code."""
        async with asyncio.timeout(limit_s):
            self.reports += [json.loads(line) for line in (await self._stdout.read()).splitlines()]
            return await asyncio.to_thread(self.child.wait, limit_s)

    async def end(self):
        """Kill it if it still runs."""
        self.child.kill()
        await asyncio.to_thread(self.child.wait, END_LIMIT_S)
        self._pipe.close()


class Rig:
    """Everything that one test needs; make it with `rigged`."""

    def __init__(self, database, url, log):
        self.database, self.url, self.log = database, url, log
        self.store = SqlStore(database, SHOP_RESOURCES)
        self.positions = ConsumerOffsets(database, log.topic)
        self.processes = []
        self.reports = []
        self.answers = {}  # order id -> the first answer
        self._numbers = itertools.count()

    async def product(self, *names, stock=20, price=1000):
        """A product with these SKUs."""
        news = tuple(NewSku(price, stock, name) for name in names)
        command = CreateProduct(derived_id("product", *names), "f", NOW_MS, "Lamp", "light", news)
        (answer,) = await self.store.transact([command], Guard.ROW, deadline=time.monotonic() + 10)
        assert answer.accepted, answer

    def order(self, *names, user=None, pay="LATER", number=None):
        """An order of one unit of each SKU, by a new user; the number goes into its id."""
        n = next(self._numbers) if number is None else number
        lines = tuple(OrderLine(name, 1) for name in names or ("s",))
        return PlaceOrder(derived_id("order", n), "f", NOW_MS + n, user or f"u{n}", lines, pay)

    def charge(self, number, amount=100, user="u1"):
        """A charge of points."""
        return ChargePoints(derived_id("charge", number), "f", NOW_MS, user, amount)

    @asynccontextmanager
    async def strategy(self, wait_s=60.0, **options):
        """The strategy, started."""
        found = Kafka(self.store, Options(wait_s=wait_s, kafka=self.log, **options))
        await found.start()
        try:
            yield found
        finally:
            await found.stop()

    @asynccontextmanager
    async def worker(self, store=None, **options):
        """A worker in this process."""
        stop = asyncio.Event()

        def report(event, **fields):
            self.reports.append((event, fields))

        worker = KafkaWorker(store or self.store, self.log, report=report, **options)
        task = asyncio.create_task(worker.run(stop))
        try:
            yield worker
        finally:
            stop.set()
            await task

    async def place(self, strategy, commands):
        """All at once; answers in order, exceptions included. The answers are kept for `check`."""
        answers = await asyncio.gather(*(strategy.execute(each) for each in commands), return_exceptions=True)
        for command, answer in zip(commands, answers, strict=True):
            if isinstance(answer, tuple):
                first = self.answers.setdefault(command.request_id, answer)
                assert (first.data, first.accepted) == (answer.data, answer.accepted), "two answers"
        return answers

    async def left(self, sku="s"):
        """Units that nobody has taken or reserved."""
        free = select(skus.c.on_hand - skus.c.reserved).where(skus.c.id == sku)
        return int(await self.database.read(lambda c: c.execute(free).scalar_one()))

    async def count(self, table=orders):
        """Rows of a table."""
        return await self.database.read(lambda c: c.execute(select(func.count()).select_from(table)).scalar_one())

    async def check(self, commands):
        """The audit is clean, the stock events of each SKU form a chain, and every command has the outcome that its
        caller got."""
        assert await self.database.read(audit) == []
        assert await self.database.read(breaks) == []
        answers = await self.store.transact(commands, Guard.ROW, deadline=time.monotonic() + 20)
        assert all(isinstance(answer, tuple) and answer.replayed for answer in answers), "one was never decided"
        accepted = 0
        for command, answer in zip(commands, answers, strict=True):
            accepted += answer.accepted
            first = self.answers.get(command.request_id)
            assert first is None or (first.data, first.accepted) == (answer.data, answer.accepted)
        assert await self.count() == accepted
        entries = select(ledger.c.request_id).where(ledger.c.kind == "stock")
        made = Counter(await self.database.read(lambda c: list(c.execute(entries).scalars())))
        for command, answer in zip(commands, answers, strict=True):
            assert made[command.request_id] == (len(command.lines) if answer.accepted else 0)
        return accepted

    async def decided(self, commands):
        """Whether every command has its outcome."""
        from stockade.store.schema.tables import requests

        ids = [command.request_id for command in commands]
        found = select(func.count()).select_from(requests).where(requests.c.id.in_(ids))
        return await self.database.read(lambda c: c.execute(found).scalar_one()) == len(ids)

    async def versions(self, sku, commands):
        """The versions that these commands made of a SKU, in the order of the commands."""
        rows = select(ledger.c.request_id, ledger.c.version).where(ledger.c.kind == "stock", ledger.c.row_id == sku)
        made = dict(await self.database.read(lambda c: [tuple(row) for row in c.execute(rows)]))
        return [made[command.request_id] for command in commands]


@asynccontextmanager
async def rigged(url, bootstrap, *, protocol="classic", parts=3):
    """A rig on a fresh topic; at its end every process is gone and the topics are removed."""
    name = uuid4().hex[:12]
    log = KafkaOptions(
        COMMAND_CODEC,
        bootstrap,
        topic=f"test.{name}",
        group=f"test.{name}",
        partitions=parts,
        protocol=protocol,
        session_ms=SESSION_MS,
        partition_kind="stock",
    )
    async with opened(url) as database:
        rig = Rig(database, url, log)
        try:
            yield rig
        finally:
            for process in rig.processes:
                await process.end()
            admin = Admin(bootstrap)
            for topic in (log.topic, log.dead_topic):
                await asyncio.to_thread(admin.delete_topic, topic)


def accepted(answers):
    """How many were accepted."""
    return sum(isinstance(answer, Accepted) for answer in answers)
