"""Order of the log: the commands of a partition change each row in the order in which they stand in it.

A record that is delivered again, or a request that stands in the log twice, changes nothing: its first place counts,
and `exactly_once` finds a second change. Under the strategy `kafka` the log must have every request that changed a row,
and must have been read from the first to the last offset of each partition. A command that changes a row which it does
not name itself, such as the payment of an order, needs a second pass and is decided behind its batch
(docs/strategies/kafka.md): its place among the others is not promised, on the rows that it names neither.
"""

from collections.abc import Collection, Iterator
from typing import Final

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.violation import Violation

RULE: Final = "log-order"
LOG_ENDS: Final = "log_ends"  # in `FinalState.extra`: number, first and next offset of each partition, by the broker


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Report the first version of each row whose record stands before the record of an earlier version."""
    places: dict[str, tuple[int, int]] = {}
    for record in history.final.log:
        place = (record.partition, record.offset)
        places[record.request_id] = min(places.get(record.request_id, place), place)
    if history.has_log and LOG_ENDS in history.final.extra:  # the simulator keeps no log of its own
        yield from _incomplete(history, places.keys())
    second_pass = _second_pass(history)
    for key, lines in history.ledger.items():
        last: dict[int, tuple[int, int]] = {}  # by partition: offset and version
        for line in lines:
            if line.request_id not in places or line.request_id in second_pass:
                continue
            partition, offset = places[line.request_id]
            before, version = last.get(partition, (-1, 0))
            if offset < before:
                text = (
                    f"{key}: version {line.version} stands at {offset} of partition {partition}, "
                    f"version {version} already at {before}"
                )
                yield Violation(RULE, text, key=key, version=line.version, request_id=line.request_id)
                break
            last[partition] = (offset, line.version)


def _second_pass(history: IndexedHistory) -> frozenset[str]:
    """The requests that changed a row which their command does not name; who sent them must have been recorded."""
    return frozenset(
        line.request_id
        for key, lines in history.ledger.items()
        for line in lines
        if any(key not in each.keys for each in history.tries.get(line.request_id, ()))
    )


def _incomplete(history: IndexedHistory, logged: Collection[str]) -> Iterator[Violation]:
    """A partition that was not read to its end, and the first request of each row that is not in the log."""
    read: dict[int, int] = {}
    for record in history.final.log:
        read[record.partition] = read.get(record.partition, 0) + 1
    ends = history.final.extra.get(LOG_ENDS)
    for end in ends if isinstance(ends, list) else ():
        match end:
            case [int(partition), int(first), int(next_)] if read.get(partition, 0) != next_ - first:
                text = f"{read.get(partition, 0)} records of partition {partition} were read, it has {next_ - first}"
                yield Violation(RULE, text)
    for key, lines in history.ledger.items():
        for line in lines:
            if line.request_id not in logged:
                text = f"{key}: version {line.version} is of request {line.request_id}, which is not in the log"
                yield Violation(RULE, text, key=key, version=line.version, request_id=line.request_id)
                break
