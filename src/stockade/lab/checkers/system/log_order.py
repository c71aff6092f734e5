"""Order of the log: the commands of a partition change each row in the order in which they stand in it.

A record that is delivered again, or a request that stands in the log twice, changes nothing: its first place counts,
and `exactly_once` finds a second change.
"""

from collections.abc import Iterator
from typing import Final

from stockade.lab.checkers.indexed_history import IndexedHistory
from stockade.lab.checkers.violation import Violation

RULE: Final = "log-order"


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Report the first version of each row whose record stands before the record of an earlier version."""
    places: dict[str, tuple[int, int]] = {}
    for record in history.final.log:
        place = (record.partition, record.offset)
        places[record.request_id] = min(places.get(record.request_id, place), place)
    for key, lines in history.ledger.items():
        last: dict[int, tuple[int, int]] = {}  # by partition: offset and version
        for line in lines:
            if line.request_id not in places:
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
