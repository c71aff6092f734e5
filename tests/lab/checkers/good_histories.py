"""Histories that a right system could have made, by a small model: what every checker must let pass.

The model carries requests out one after the other. Each takes effect at one moment; its invocation lies before and its
return behind that moment, so operations of several clients overlap, and the order of returns is another than the order
of effects.
"""

import random
from dataclasses import dataclass, field

from stockade.lab.history.final_state import (
    Delivery,
    FinalRow,
    FinalState,
    LedgerLine,
    LogRecord,
    OrderLine,
    OutboxLine,
    RecordedRequest,
)
from stockade.lab.history.history import History, Phases
from stockade.lab.history.operation import FAILED, OK, REFUSED, UNKNOWN, Operation

MS = 1_000_000
STEP_NS = 1 * MS  # between two effects


@dataclass
class Model:
    """The rows, and what was written.

    Args:
        seed: decides everything.
        keys: rows, and what is in them at first.
        log_partitions: of the command log; 0: there is none.
    """

    seed: int
    keys: dict[str, int]
    log_partitions: int = 0
    operations: list[Operation] = field(default_factory=list)
    ledger: list[LedgerLine] = field(default_factory=list)
    requests: list[RecordedRequest] = field(default_factory=list)
    orders: list[OrderLine] = field(default_factory=list)
    outbox: list[OutboxLine] = field(default_factory=list)
    log: list[LogRecord] = field(default_factory=list)

    def __post_init__(self):
        self.random = random.Random(self.seed)
        self.names = sorted(self.keys)
        self.amounts = dict(self.keys)
        self.versions = dict.fromkeys(self.keys, 1)
        self.sequences = dict.fromkeys(self.keys, 0)
        self.offsets = [0] * self.log_partitions
        self.now = 10_000 * MS
        self.count = 0

    def around(self):
        """An invocation before now and a return after it."""
        before, after = self.random.randint(1, 20 * STEP_NS), self.random.randint(1, 20 * STEP_NS)
        return self.now - before, self.now + after

    def request(self, of_each=0):
        """One order of one unit of each of some rows (of `of_each`, or of 1 or 2): accepted if there is enough."""
        self.now += STEP_NS
        self.count += 1
        id_ = f"request-{self.count}"
        keys = self.random.sample(self.names, min(len(self.names), of_each or self.random.randint(1, 2)))
        if self.log_partitions:
            part = sum(map(ord, self.names[0])) % self.log_partitions
            self.log.append(LogRecord(part, self.offsets[part], id_))
            self.offsets[part] += 1
        deltas = dict.fromkeys(sorted(keys), -1)
        enough = all(self.amounts[key] >= 1 for key in keys)
        versions = {}
        for key in deltas:
            if enough:
                self.versions[key] += 1
                self.amounts[key] -= 1
                self.sequences[key] += 1
                self.ledger.append(LedgerLine(key, self.versions[key], id_, -1, 0, self.amounts[key], 0))
                self.outbox.append(OutboxLine(f"event-{id_}-{key}", id_, "stock.changed", key, self.sequences[key]))
            versions[key] = self.versions[key]
        if enough:
            self.orders.append(OrderLine(id_, "PAID", ("PAID",), 1))
        self.requests.append(
            RecordedRequest(id_, f"content-{id_}", enough, "" if enough else "OUT_OF_STOCK", f"answer-{id_}")
        )
        self._answers(id_, enough, deltas, versions)

    def _answers(self, id_, enough, deltas, versions):
        """One or several tries: the first may be without an answer, or failed before it happened."""
        begin, end = self.around()
        chance = self.random.random()
        if chance < 0.1:
            self.add(id_, deltas, begin, end, UNKNOWN, code="OUTCOME_UNKNOWN")
            if chance < 0.03:
                return  # nobody asks again
            begin, end = end + 1, end + STEP_NS
            self.decided(id_, enough, deltas, versions, begin, end, replayed=True)
            return
        if chance < 0.2:
            self.add(id_, deltas, begin - 2 * STEP_NS, begin - STEP_NS, FAILED, code="BUSY")
        self.decided(id_, enough, deltas, versions, begin, end)
        if chance > 0.9:
            self.decided(id_, enough, deltas, versions, end + 1, end + STEP_NS, replayed=True)

    def decided(self, id_, enough, deltas, versions, begin, end, *, replayed=False):
        """An answer that says what was decided."""
        code = "" if enough else "OUT_OF_STOCK"
        more = {"code": code, "answer": f"answer-{id_}", "versions": versions, "replayed": replayed}
        self.add(id_, deltas, begin, end, OK if enough else REFUSED, **more)

    def add(self, id_, deltas, begin, end, type_, **more):
        """One operation; numbers and clients are given at the end."""
        content = f"content-{id_}"
        self.operations.append(
            Operation(
                0, 0, "service-1", "place_order", tuple(deltas), id_, content, begin, end, type_, deltas=deltas, **more
            )
        )

    def read(self):
        """A client looks at a row."""
        key = self.random.choice(self.names)
        begin, end = self.around()
        self.operations.append(
            Operation(0, 0, "service-1", "read", (key,), "", "", begin, end, OK, versions={key: self.versions[key]})
        )

    def history(self, **more):
        """Everything, as a recording would have kept it."""
        operations = sorted(self.operations, key=lambda each: each.invoke_ns)
        free, numbered = [], []
        for number, each in enumerate(operations):  # a client has one operation at a time
            client = next((at for at, until in enumerate(free) if until < each.invoke_ns), len(free))
            free[client : client + 1] = [each.return_ns]
            numbered.append(each._replace(number=number, client=client))
        rows = [FinalRow(key, self.amounts[key], 0, self.versions[key]) for key in self.keys]
        begin = min((each.invoke_ns for each in operations), default=0)
        end = max((each.return_ns for each in operations), default=0)
        deliveries = [Delivery(each.event_id, each.key, each.sequence) for each in self.outbox]
        final = FinalState(
            initial=dict(self.keys),
            rows=tuple(rows),
            ledger=tuple(sorted(self.ledger)),
            requests=tuple(self.requests),
            orders=tuple(self.orders),
            outbox=tuple(self.outbox),
            deliveries=tuple(deliveries),
            log=tuple(self.log),
        )
        return History(
            **{
                "workload": "model",
                "strategy": "pessimistic",
                "database": "sqlite",
                "faults": (),
                "seed": self.seed,
                "phases": Phases(begin, begin, begin, end, end),
                "operations": tuple(numbered),
                "final": final,
                **more,
            }
        )


def good(seed=1, *, requests=60, keys=None, reads=0.2, log_partitions=0, of_each=0, **more):
    """A right history."""
    model = Model(seed, keys or {"stock:1": 20, "stock:2": 1000, "points:a": 1000}, log_partitions)
    for _ in range(requests):
        model.request(of_each)
        if model.random.random() < reads:
            model.read()
    return model.history(**more)
