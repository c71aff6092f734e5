"""Splits many ids into statements that every database takes.

Neighbours: the audit, the dead letters of Kafka, the shop's sales and erasure, and the lab read rows by id.
"""

from collections.abc import Iterator, Sequence

IDS_AT_ONCE = 500  # in one statement: below the smallest limit of any database


def id_chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """The ids in their order, at most `IDS_AT_ONCE` at a time."""
    for at in range(0, len(ids), IDS_AT_ONCE):
        yield ids[at : at + IDS_AT_ONCE]
