"""One operation of a history: a request of one client, from its invocation to its return.

The word is Jepsen's. An operation without a certain outcome (`unknown`) may have happened, and may still happen until
the end of the history. Neighbours: `history.py` has everything of one recording, `recording/` makes operations.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

OK: Final = "ok"  # carried out
REFUSED: Final = "refused"  # decided, and refused by the rules
UNKNOWN: Final = "unknown"  # no answer, or one that says so: it may have happened
FAILED: Final = "failed"  # certainly not carried out: busy, conflict, lock lost and rolled back
TYPES: Final = (OK, REFUSED, UNKNOWN, FAILED)
PROCESS_AWAY: Final = "PROCESS_AWAY"  # code of an operation that no process took: nobody had the request


class Operation(NamedTuple):
    """One request of one client. Two tries of the same request are two operations with one `request_id`.

    Attributes:
        number: of this operation in the history, by invocation, from 0.
        client: that sent it; a client has one operation at a time.
        process: name of the service process that took it.
        command: name of the command, e.g. `place_order`; `read` for a read of the rows.
        keys: the rows that the command names, as `stock:42`.
        request_id: equal for equal requests.
        fingerprint: hash of the content of the request.
        invoke_ns: monotonic clock, which all processes of a machine share.
        return_ns: the same.
        type: one of `TYPES`.
        code: why it was refused, failed or is unknown; empty where it is ok.
        replayed: the answer says that it was recorded before.
        answer: hash of the data of the decision: equal requests must get equal ones; empty without a decision.
        versions: versions of rows: those that it wrote (ok), those that it was decided on (refused, read).
        deltas: by row, what the decision changed of its first counter; only where the workload can say it beforehand.
        deadline_ns: until when an answer was offered; 0: none.
        unexpected: the exception, if no strategy documents it.
        takes: by row, what must be free there; only where too little of one of them is the only reason to refuse it.
        in_doubt: its process lost the reply to a commit meanwhile. So a replayed decision may be of this very try: the
            store tries again by itself, and finds what its own commit has recorded.
    """

    number: int
    client: int
    process: str
    command: str
    keys: tuple[str, ...]
    request_id: str
    fingerprint: str
    invoke_ns: int
    return_ns: int
    type: str
    code: str = ""
    replayed: bool = False
    answer: str = ""
    versions: Mapping[str, int] = {}
    deltas: Mapping[str, int] = {}
    deadline_ns: int = 0
    unexpected: str = ""
    takes: Mapping[str, int] = {}
    in_doubt: bool = False


class FaultEvent(NamedTuple):
    """One entry of the fault log.

    Attributes:
        at_ns: when it began, on the monotonic clock.
        fault: its name.
        action: `inject` or `heal`.
        detail: how it went, e.g. why nothing was hit, or which process did not serve again in time.
        hit: what an injection hit, e.g. "service 1"; and what the fault had hit until its healing, where only that can
            tell, e.g. "link client->postgres: 1,200 bytes late". Nothing in both: it did not act.
        end_ns: when it ended; 0: at once. Between the end of its injection and its healing a fault is in place.
        stops_processes: the fault stops processes that take or decide requests; see `Fault.stops_processes`.
    """

    at_ns: int
    fault: str
    action: str
    detail: str = ""
    hit: tuple[str, ...] = ()
    end_ns: int = 0
    stops_processes: bool = False


class LockAccess(NamedTuple):
    """One access of a resource under a lock, for recordings of lock implementations.

    Attributes:
        client: that accessed it.
        key: the resource.
        owner: of the lease.
        token: the fencing token; 0 where the lock has none.
        kind: `read` or `write`.
        applied: whether the resource accepted it.
        at_ns: monotonic clock.
    """

    client: int
    key: str
    owner: str
    token: int
    kind: str
    applied: bool
    at_ns: int
