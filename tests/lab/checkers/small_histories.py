"""The smallest right history, to be changed in one place: two units, two orders accepted in turn, a third one refused.

Times are in milliseconds here.
"""

from dataclasses import replace

from stockade.lab.history.final_state import (
    Delivery,
    FinalRow,
    FinalState,
    LedgerLine,
    OrderLine,
    OutboxLine,
    RecordedRequest,
)
from stockade.lab.history.history import History, Phases
from stockade.lab.history.operation import OK, REFUSED, FaultEvent, LockAccess, Operation

MS = 1_000_000
KEY = "stock:1"
A, B, C = "request-a", "request-b", "request-c"


def operation(request_id, begin, end, type_=OK, **more):
    """One order of one unit."""
    values = {
        "number": begin,
        "client": begin,
        "process": "service-1",
        "command": "place_order",
        "keys": (KEY,),
        "fingerprint": f"content of {request_id}",
        "answer": f"answer to {request_id}",
        "deltas": {KEY: -1},
        **more,
    }
    return Operation(request_id=request_id, invoke_ns=begin * MS, return_ns=end * MS, type=type_, **values)


def refused(request_id, begin, end, **more):
    """One order that finds too little."""
    return operation(request_id, begin, end, REFUSED, **{"code": "OUT_OF_STOCK", **more})


def line(request_id, version, amount_after, delta=-1, key=KEY):
    """An entry of the ledger."""
    return LedgerLine(key, version, request_id, delta, 0, amount_after, 0)


def recorded(request_id, accepted=True):
    """What is recorded of it."""
    code = "" if accepted else "OUT_OF_STOCK"
    return RecordedRequest(request_id, f"content of {request_id}", accepted, code, f"answer to {request_id}")


OPERATIONS = (
    operation(A, 1, 2, versions={KEY: 2}),
    operation(B, 3, 4, versions={KEY: 3}),
    refused(C, 5, 6, versions={KEY: 3}),
)
FINAL = FinalState(
    initial={KEY: 2},
    rows=(FinalRow(KEY, 0, 0, 3),),
    ledger=(line(A, 2, 1), line(B, 3, 0)),
    requests=(recorded(A), recorded(B), recorded(C, accepted=False)),
    orders=(OrderLine(A, "PAID", ("PAID",), 1), OrderLine(B, "PAID", ("RESERVED", "PAID"), 1)),
    outbox=(OutboxLine("a:0", A, "order.placed", KEY, 0), OutboxLine("b:0", B, "order.placed", KEY, 1)),
    deliveries=(Delivery("a:0", KEY, 0), Delivery("a:0", KEY, 0), Delivery("b:0", KEY, 1)),
)


def small(operations=OPERATIONS, **changes):
    """The right history with other operations, other members of its final state, or others of its own."""
    of_final = {name: value for name, value in changes.items() if hasattr(FINAL, name)}
    of_history = {name: value for name, value in changes.items() if name not in of_final}
    phases = Phases(0, 0, 0, 10 * MS, 11 * MS)
    values = {"workload": "small", "strategy": "pessimistic", "database": "sqlite", "faults": (), "seed": 1}
    values |= {"operations": tuple(operations), "final": replace(FINAL, **of_final), "phases": phases, **of_history}
    return History(**values)


def access(client, token, at, kind="write", owner=None, applied=True):
    """An access of a resource."""
    return LockAccess(client, "stock:1", owner or f"owner-{client}", token, kind, applied, at * MS)


def call(command, client, begin, end, argument="", result="", type_=OK):
    """A call of a register or a lock."""
    return Operation(begin, client, "", command, ("x",), "", argument, begin * MS, end * MS, type_, answer=result)


def calls(*operations):
    """A history of nothing else."""
    empty = FinalState()
    return small(operations, **{name: getattr(empty, name) for name in FinalState.__slots__})


def fault(at, name, action):
    """An entry of the fault log."""
    return FaultEvent(at * MS, name, action)
