"""Defects: each is one change of the smallest right history, so it is the smallest that shows it.

Neighbour: `test_negative_controls.py` holds that the checker of each finds it.
"""

from stockade.lab.checkers.system.log_decided import LOG_DRAINED
from stockade.lab.history.final_state import Delivery, FinalRow, Leftovers, LogRecord, OrderLine, OutboxLine
from stockade.lab.history.operation import FAILED, REFUSED, UNKNOWN
from tests.lab.checkers.changed_histories import (
    BUSY,
    FIRST,
    LATE,
    OTHER,
    SECOND,
    SILENT,
    TAKES,
    THIRD,
    TOLD_LATE,
    crossed,
    failed_and_seen,
    in_log,
    order_step,
    queue,
    stale_across_rows,
    steady,
    suspended,
    tried,
)
from tests.lab.checkers.small_histories import (
    FINAL,
    KEY,
    MS,
    OPERATIONS,
    A,
    B,
    C,
    access,
    call,
    calls,
    fault,
    line,
    operation,
    recorded,
    refused,
    small,
)

WRONG = {
    "accepted, not recorded": ("exactly-once", small(requests=FINAL.requests[1:])),
    "accepted, recorded as refused": (
        "exactly-once",
        small(requests=(recorded(A, accepted=False), *FINAL.requests[1:])),
    ),
    "accepted, moved nothing": (
        "exactly-once",
        small(ledger=FINAL.ledger[:1], rows=(FinalRow(KEY, 1, 0, 2),)),
    ),
    "refused, recorded as accepted": ("exactly-once", small(requests=(*FINAL.requests[:2], recorded(C)))),
    "refused, moved a row": ("exactly-once", small(ledger=(*FINAL.ledger, line(C, 4, -1)))),
    "refused, not recorded": ("exactly-once", small(requests=FINAL.requests[:2])),
    "failed for certain, moved a row": (
        "exactly-once",
        small([FIRST._replace(type=FAILED, code="BUSY", versions={}), SECOND, THIRD]),
    ),
    "unknown, moved a row twice": (
        "exactly-once",
        small(
            [FIRST._replace(type=UNKNOWN, versions={}), SECOND._replace(versions={KEY: 4}), THIRD],
            ledger=(line(A, 2, 1), line(A, 3, 0), line(B, 4, -1)),
        ),
    ),
    "failed for certain, and recorded before the next try": (
        "exactly-once",
        small(
            [
                FIRST._replace(type=FAILED, code="BUSY", versions={}),
                FIRST._replace(number=7, replayed=True),
                *OPERATIONS[1:],
            ]
        ),
    ),
    "failed, and seen before the next try, which was in doubt": ("exactly-once", failed_and_seen(replayed=True)),
    "failed, and seen before the next try, which had no answer": ("exactly-once", failed_and_seen(type=UNKNOWN)),
    "decided, and nothing is there": (
        "exactly-once",
        small(initial={}, rows=(), ledger=(), requests=(), orders=(), outbox=(), deliveries=()),
    ),
    "recorded twice": ("exactly-once", small(requests=(*FINAL.requests, recorded(A)))),
    "a change of nobody": ("exactly-once", small(ledger=(*FINAL.ledger, line("nobody", 4, -1)))),
    "a row is not there any more": ("complete", small(rows=())),
    "a row that was written is not there": ("complete", small(initial={}, rows=(), ledger=())),
    "an order that was accepted is not there": ("complete", small(orders=FINAL.orders[1:])),
    "nothing is recorded": ("complete", small(requests=())),
    "equal content, refused as other content": (
        "same-answer",
        small([*OPERATIONS, FIRST._replace(number=7, type=FAILED, code="IDEMPOTENCY_KEY_REUSED")]),
    ),
    "another answer at the second try": (
        "same-answer",
        small([*OPERATIONS, FIRST._replace(number=7, answer="other", replayed=True)]),
    ),
    "another answer than the recorded one": (
        "same-answer",
        small(requests=(recorded(A)._replace(answer="other"), *FINAL.requests[1:])),
    ),
    "refused at the second try": (
        "same-answer",
        small([*OPERATIONS, FIRST._replace(number=7, type=REFUSED, code="OUT_OF_STOCK", answer="no")]),
    ),
    "other content, decided all the same": (
        "same-answer",
        small([*OPERATIONS, FIRST._replace(number=7, fingerprint="other content")]),
    ),
    "two writers of one version": (
        "version-chain",
        small(
            [FIRST, SECOND._replace(versions={KEY: 2}), THIRD],
            ledger=(line(A, 2, 1), line(B, 2, 1)),
            rows=(FinalRow(KEY, 1, 0, 2),),
        ),
    ),
    "a gap": ("version-chain", small(ledger=(FINAL.ledger[0], line(B, 4, 0)), rows=(FinalRow(KEY, 0, 0, 4),))),
    "an amount that does not follow": ("version-chain", small(ledger=(FINAL.ledger[0], line(B, 3, 1)))),
    "another change than was asked for": (
        "version-chain",
        small([FIRST, SECOND._replace(deltas={KEY: -2}), THIRD]),
    ),
    "the row is behind its ledger": ("version-chain", small(rows=(FinalRow(KEY, 0, 0, 2),))),
    "the row is not what its ledger says": ("version-chain", small(rows=(FinalRow(KEY, 1, 0, 3),))),
    "changed without an entry": ("version-chain", small(ledger=(), rows=(FinalRow(KEY, 0, 0, 1),))),
    "a version of somebody else": ("version-chain", small([FIRST, SECOND._replace(versions={KEY: 2}), THIRD])),
    "a read of what was never committed": (
        "version-chain",
        small([*OPERATIONS, SECOND._replace(command="read", request_id="", versions={KEY: 4}, number=9)]),
    ),
    "a version of a row that has no ledger": (
        "version-chain",
        small(
            [FIRST, SECOND, THIRD._replace(versions={KEY: 3, OTHER: 2})], rows=(*FINAL.rows, FinalRow(OTHER, 0, 0, 1))
        ),
    ),
    "a row that nobody made begins at 2": ("version-chain", small(initial={})),
    "written after a later one had returned": (
        "real-time",
        small([FIRST._replace(invoke_ns=8 * MS, return_ns=9 * MS), SECOND, THIRD]),
    ),
    "a stale read": (
        "real-time",
        small([*OPERATIONS, FIRST._replace(command="read", request_id="", invoke_ns=7 * MS, return_ns=8 * MS)]),
    ),
    "a read of the future": (
        "real-time",
        small([*OPERATIONS, SECOND._replace(command="read", request_id="", invoke_ns=0, return_ns=1 * MS)]),
    ),
    "refused by an old version": ("real-time", small([FIRST, SECOND, THIRD._replace(versions={KEY: 2})])),
    "an unknown one that happened before it was sent": (
        "real-time",
        small([FIRST._replace(type=UNKNOWN, versions={}, invoke_ns=9 * MS, return_ns=9 * MS), SECOND, THIRD]),
    ),
    "a unit too many is left": ("stock-conserved", small(rows=(FinalRow(KEY, 1, 0, 3),))),
    "a lost update that the ledger does not know": (
        "stock-conserved",
        small(ledger=(line(A, 2, 1),), rows=(FinalRow(KEY, 1, 0, 2),)),
    ),
    "points from nowhere": (
        "points-conserved",
        small(initial={KEY: 2, "points:a": 5}, rows=(*FINAL.rows, FinalRow("points:a", 6, 0, 1))),
    ),
    "a counter of an own row from nowhere": (
        "counters-conserved",
        small(initial={KEY: 2, "campaign:a": 5}, rows=(*FINAL.rows, FinalRow("campaign:a", 6, 0, 1))),
    ),
    "sold more than there was": ("no-oversell", small(initial={KEY: 1})),
    "below zero on the way": (
        "no-oversell",
        small(ledger=(line(A, 2, -1, delta=-3), line(B, 3, 0, delta=1))),
    ),
    "more held than there is": ("no-oversell", small(rows=(FinalRow(KEY, 0, 1, 3),))),
    "refused although there was enough": (
        "right-refusal",
        small([FIRST, SECOND, refused(C, 3, 4, versions={KEY: 2})]),
    ),
    "a reservation refused although there was enough": (
        "right-refusal",
        small([FIRST, SECOND, refused(C, 3, 4, versions={KEY: 2}, deltas={}, **TAKES)]),
    ),
    "refused for a reason that cannot be": (
        "right-refusal",
        small([FIRST, SECOND, refused(C, 3, 4, versions={KEY: 2}, code="NOT_ON_SALE", **TAKES)]),
    ),
    "refused without looking": ("right-refusal", small([FIRST, SECOND, refused(C, 5, 6, versions={}, **TAKES)])),
    "a paid order that cannot be cancelled": ("right-refusal", order_step("cancel_order", 1, ("PAID",))),
    "a reserved order that cannot be paid": (
        "right-refusal",
        order_step("pay_order", 1, ("RESERVED", "PAID"), "ORDER_NOT_FOUND"),
    ),
    "paid twice": ("order-states", small(orders=(OrderLine(A, "PAID", ("PAID",), 2),))),
    "paid without a payment": ("order-states", small(orders=(OrderLine(A, "PAID", ("PAID",), 0),))),
    "paid after it was cancelled": (
        "order-states",
        small(orders=(OrderLine(A, "PAID", ("RESERVED", "CANCELLED", "PAID"), 1),)),
    ),
    "not in the state of its last step": ("order-states", small(orders=(OrderLine(A, "CANCELLED", ("RESERVED",), 0),))),
    "each before the other": ("serializable", crossed()),
    "two readers, two orders": ("serializable", stale_across_rows()),
    "a late write with a smaller token": ("mutual-exclusion", small(accesses=(access(1, 2, 1), access(2, 1, 2)))),
    "a late write after a read with a larger token": (
        "mutual-exclusion",
        small(accesses=(access(1, 2, 1, "read"), access(2, 1, 2))),
    ),
    "one token, two owners": ("mutual-exclusion", small(accesses=(access(1, 1, 1), access(2, 1, 2)))),
    "back without a token": (
        "mutual-exclusion",
        small(accesses=(access(1, 0, 1, "read"), access(2, 0, 2), access(1, 0, 3))),
    ),
    "two holders of a lock": (
        "linearizable",
        calls(call("acquire", 1, 1, 2), call("acquire", 2, 3, 4), call("release", 1, 5, 6), call("release", 2, 7, 8)),
    ),
    "a read of an old value": (
        "linearizable",
        calls(call("write", 1, 1, 2, "a"), call("write", 1, 3, 4, "b"), call("read", 2, 5, 6, result="a")),
    ),
    "an operation that is left out": ("exactly-once", small(OPERATIONS[1:])),
    "a refusal that is left out": ("exactly-once", small(OPERATIONS[:2])),
    "refused with another code than is recorded": (
        "same-answer",
        small([FIRST, SECOND, THIRD._replace(code="ORDER_NOT_FOUND")]),
    ),
    "decided against the order of the log": ("log-order", small(log=(LogRecord(0, 2, A), LogRecord(0, 1, B)))),
    "a change that no record asked for": ("log-order", in_log(LogRecord(0, 0, A))),
    "a log that was not read to its end": (
        "log-order",
        in_log(LogRecord(0, 0, A), LogRecord(0, 1, B), ends=[(0, 0, 3)]),
    ),
    "a log of which nothing was read": ("log-order", in_log()),
    "a command in a drained log that was never decided": (
        "log-decided",
        small(log=(LogRecord(0, 0, "request-d"),), extra={LOG_DRAINED: True}),
    ),
    "no event at all": ("events", small(outbox=(), deliveries=())),
    "an order without an event": ("events", small(outbox=FINAL.outbox[1:], deliveries=FINAL.deliveries[2:])),
    "an event that never arrived": ("events", small(deliveries=FINAL.deliveries[:2])),
    "an event without its order": ("events", small(deliveries=(*FINAL.deliveries, Delivery("c:0", KEY, 2)))),
    "events out of order": ("events", small(deliveries=FINAL.deliveries[::-1])),
    "an event of a request that was undone": (
        "events",
        small(
            [*OPERATIONS, operation("request-d", 7, 8, UNKNOWN)],
            outbox=(*FINAL.outbox, OutboxLine("d:0", "request-d", "order.placed", KEY, 2)),
            deliveries=(*FINAL.deliveries, Delivery("d:0", KEY, 2)),
        ),
    ),
    "one id for two events": ("events", small(outbox=(*FINAL.outbox, FINAL.outbox[0]))),
    "a lock that nobody can take": ("nothing-left", small(leftovers=Leftovers(keys_not_free=(KEY,)))),
    "a lock key for ever": ("nothing-left", small(leftovers=Leftovers(lock_keys_without_expiry=(KEY,)))),
    "a task too many": ("nothing-left", small(leftovers=Leftovers({"tasks": 3}, {"tasks": 4}))),
    "a file with each request": (
        "nothing-left",
        small(leftovers=Leftovers({"files": 9}, {"files": 109}, may_grow={"files": 20})),
    ),
    "a queue above its bound": ("nothing-left", small(leftovers=Leftovers(highest={"queue": 9}, bounds={"queue": 8}))),
    "a queue that nobody counted": ("nothing-left", small(leftovers=Leftovers(bounds={"queue": 8}))),
    "an unknown outcome long after its deadline": (
        "in-time",
        small([FIRST, SECOND, THIRD, operation("request-d", 7, 511, UNKNOWN, **TOLD_LATE)]),
    ),
    "an answer long after its deadline": (
        "in-time",
        small(LATE),
    ),
    "later than the machine was": (
        "in-time",
        small(
            [FIRST, SECOND, THIRD._replace(deadline_ns=10 * MS, return_ns=611 * MS)],
            extra={"late": [[0, 10 * MS, 200 * MS], [20 * MS, 70 * MS, 50 * MS]]},
        ),
    ),
    "late while its process made another one wait for a processor": (
        "in-time",
        small(LATE, extra={"late": [[0, 400 * MS, 0, {"service-0": 400 * MS}]]}),
    ),
    "late while the database was away": (
        "in-time",
        small(LATE, fault_log=(fault(9, "database-stop", "inject"), fault(500, "database-stop", "heal"))),
    ),
    "late in a process beside one that was stopped": (
        "in-time",
        small(LATE, fault_log=suspended("service-0")),
    ),
    "late under a fault that stops no process": (
        "in-time",
        small(LATE, fault_log=suspended("service-1", stops_processes=False)),
    ),
    "an unknown outcome that the service tells late, while the database was away": (
        "in-time",
        small(
            [FIRST, SECOND, THIRD, operation("request-d", 7, 511, UNKNOWN, **TOLD_LATE)],
            fault_log=(fault(9, "database-stop", "inject"), fault(500, "database-stop", "heal")),
        ),
    ),
    "one decision, and nothing but busy": ("served", tried(BUSY)),
    "busy again after the healing": (
        "served",
        tried(
            {**BUSY, "invoke_ns": 4000 * MS, "return_ns": 4001 * MS},
            fault_log=(fault(2000, "overload", "inject"), fault(2500, "overload", "heal")),
        ),
    ),
    "no answer, and no fault": ("served", tried(SILENT, share=0)),
    "undecided in the end": ("served", small(extra={"undecided": 1})),
    "never decided": ("served", small([*OPERATIONS, operation("request-d", 7, 8, UNKNOWN)], extra={"undecided": 0})),
    "nothing was done": ("liveness", calls()),
    "nothing but reads was done": ("liveness", calls(FIRST._replace(command="read", request_id="", versions={}))),
    "the rate does not come back": ("liveness", steady(range(3000, 5000, 100))),
    "the rate comes back for a moment": ("liveness", steady(range(3000, 3700, 50))),
    "only reads come back": ("liveness", steady(command="read")),
    "nothing was decided before the faults": ("liveness", steady(before=())),
    "the load ended with the fault": ("liveness", steady(final_ms=3500)),
    "one client starves": ("liveness", queue(400)),
    "an error that nobody documents": ("unexpected", small([*OPERATIONS, FIRST._replace(unexpected="KeyError: 1")])),
    "a process ended by itself": ("unexpected", small(extra={"ends": [["service 1", MS, -11, "Segmentation fault"]]})),
    "a task ended with an error": (
        "unexpected",
        small(extra={"errors": [["service 1", "Task exception was never retrieved"]]}),
    ),
    "the audit found something": ("unexpected", small(audit=(("stock-ledger", "1 is 2"),))),
}
