"""Changes of the smallest right history that several defects, and tests of one checker, are made of.

Neighbour: `wrong_histories.py` has the defects.
"""

from dataclasses import replace

from stockade.lab.history.final_state import FinalRow, OrderLine
from stockade.lab.history.history import Phases
from stockade.lab.history.operation import FAILED, UNKNOWN
from tests.lab.checkers.small_histories import (
    FINAL,
    KEY,
    MS,
    OPERATIONS,
    A,
    B,
    C,
    calls,
    fault,
    line,
    operation,
    recorded,
    refused,
    small,
)

FIRST, SECOND, THIRD = OPERATIONS
OTHER = "stock:2"


def steady(returns=range(3000, 5000, 50), *, before=range(0, 1000, 50), final_ms=5000, command="", **settings):
    """Twenty decisions each second before the faults, and some after the heal: further answers to A, or reads."""
    again = FIRST._replace(number=99, replayed=True)
    if command:
        again = FIRST._replace(command=command, request_id="", number=99)
    more = [again._replace(invoke_ns=(at + 20) * MS, return_ns=(at + 20) * MS) for at in (*before, *returns)]
    phases = Phases(0 if before else 30 * MS, 1000 * MS, 3000 * MS, final_ms * MS, final_ms * MS)
    log = (fault(1500, "database-kill", "inject"), fault(3000, "database-kill", "heal"))
    settings = {"recovery_s": 1.0, **settings}
    return small([*OPERATIONS, *more], phases=phases, fault_log=log, settings=settings)


def queue(longest_ms, *, key=KEY, machine_ms=0):
    """Twenty at one row who wait for a millisecond, and one, at this row or another, who waits longer."""
    refusals = [
        refused(f"request-q{n}", 1, 2, versions={KEY: 1})._replace(keys=(KEY,), invoke_ns=MS, return_ns=2 * MS)
        for n in range(21)
    ]
    refusals[-1] = refusals[-1]._replace(keys=(key,), return_ns=longest_ms * MS)
    late = {"late": [[2 * MS, longest_ms * MS, machine_ms * MS]]} if machine_ms else {}
    found = calls(*refusals)
    requests = tuple(recorded(each.request_id, accepted=False) for each in refusals)
    return replace(found, settings={"fifo": True}, final=replace(found.final, extra=late, requests=requests))


def tried(*answers, share=0.9, **changes):
    """Thirty tries without a decision, all of A, before those of the right history."""
    tries = [FIRST._replace(number=100 + n, versions={}, **answers[n % len(answers)]) for n in range(30)]
    return small([*tries, *OPERATIONS], settings={"served_share": share}, **changes)


BUSY = {"type": FAILED, "code": "BUSY", "invoke_ns": 0, "return_ns": MS}
TOLD_LATE = {"deadline_ns": 10 * MS, "code": "OUTCOME_UNKNOWN"}
SILENT = {"type": UNKNOWN, "code": "NO_ANSWER", "invoke_ns": 0, "return_ns": MS}


LATE = [FIRST, SECOND, THIRD._replace(deadline_ns=10 * MS, return_ns=511 * MS)]


def suspended(process, *, stops_processes=True):
    """A fault that stops a process, and Redis beside it, until 500 ms."""
    begin = fault(9, "redis-flush", "inject")._replace(hit=(process, "2 keys deleted"), stops_processes=stops_processes)
    return begin, fault(500, "redis-flush", "heal")


def in_log(*records, ends=(), **changes):
    """The right history under a command log."""
    return small(strategy="kafka", log=records, extra={"log_ends": [list(end) for end in ends]}, **changes)


def order_step(command, version, states, code="STATE_CONFLICT"):
    """A cancellation or a payment that is refused on a version of an order."""
    key = f"order:{A}"
    step = refused("request-d", 7, 8, command=command, keys=(key,), deltas={}, versions={key: version}, code=code)
    requests = (*FINAL.requests, recorded("request-d", accepted=False)._replace(code=code))
    orders = (OrderLine(A, states[-1], states, int(states[-1] == "PAID")), FINAL.orders[1])
    return small(
        [*OPERATIONS, step], requests=requests, orders=orders, rows=(*FINAL.rows, FinalRow(key, 0, 0, version))
    )


def failed_and_seen(**again):
    """A failed, and B saw what it wrote; only then A is tried again, and its process loses the reply to a commit."""
    failed = FIRST._replace(type=FAILED, code="BUSY", versions={})
    return small(
        [failed, *OPERATIONS[1:], FIRST._replace(number=7, invoke_ns=7 * MS, return_ns=8 * MS, in_doubt=True, **again)]
    )


TAKES = {"takes": {KEY: 1}}


def crossed():
    """Two orders of two rows, each before the other on one of them; each row for itself is right."""
    deltas = {KEY: -1, OTHER: -1}
    both = {"keys": (KEY, OTHER), "deltas": deltas}
    return small(
        [
            operation(A, 1, 9, versions={KEY: 2, OTHER: 3}, **both),
            operation(B, 2, 8, versions={KEY: 3, OTHER: 2}, **both),
            refused(C, 10, 11, versions={KEY: 3}),
        ],
        initial={KEY: 2, OTHER: 2},
        rows=(FinalRow(KEY, 0, 0, 3), FinalRow(OTHER, 0, 0, 3)),
        ledger=(line(A, 2, 1), line(B, 3, 0), line(B, 2, 1, key=OTHER), line(A, 3, 0, key=OTHER)),
    )


def stale_across_rows():
    """A saw the second row before B wrote it, though B had returned before A's predecessor on the first row began."""
    look = FIRST._replace(command="read", request_id="", number=9, invoke_ns=7 * MS, return_ns=8 * MS, deltas={})
    return small(
        [
            FIRST._replace(invoke_ns=1 * MS, return_ns=20 * MS),
            SECOND._replace(keys=(OTHER,), versions={OTHER: 2}, deltas={OTHER: -1}),
            look._replace(keys=(KEY, OTHER), versions={KEY: 2, OTHER: 1}, invoke_ns=2 * MS, return_ns=30 * MS),
            look._replace(
                number=10, keys=(KEY, OTHER), versions={KEY: 1, OTHER: 2}, invoke_ns=2 * MS, return_ns=30 * MS
            ),
            refused(C, 31, 32, versions={KEY: 2}, code="NOT_ON_SALE"),
        ],
        initial={KEY: 2, OTHER: 2},
        rows=(FinalRow(KEY, 1, 0, 2), FinalRow(OTHER, 1, 0, 2)),
        ledger=(line(A, 2, 1), line(B, 2, 1, key=OTHER)),
        requests=(recorded(A), recorded(B), FINAL.requests[2]._replace(code="NOT_ON_SALE")),
    )
