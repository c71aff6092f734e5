"""Ledger chain: the versions of each row are 1 to n without gap or repeat, and each amount follows from the one before.

A lost update shows as two entries with the same version.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from stockade.lab.model.repeat_result import LedgerEntry, RepeatResult, Violation


def check(result: RepeatResult) -> Iterator[Violation]:
    """Report the first wrong entry of each row."""
    for key, group in groupby(result.snapshot.ledger, key=lambda entry: entry.key):
        entries = list(group)
        error = _first_error(entries)
        row = result.snapshot.rows.get(key)
        if error:
            yield Violation("ledger-chain", f"{key}: {error}")
        elif row and row.version != entries[-1].version:
            text = f"{key}: the row is at version {row.version}, the ledger ends at {entries[-1].version}"
            yield Violation("ledger-chain", text)


def _first_error(entries: Sequence[LedgerEntry]) -> str:
    version = amount = held = 0
    for entry in entries:
        if entry.version == version:
            return f"version {version} was written more than once"
        if entry.version != version + 1:
            return f"version {entry.version} follows version {version}"
        amount, held = amount + entry.delta, held + entry.held
        if (entry.amount_after, entry.held_after) != (amount, held):
            after = f"{entry.amount_after} ({entry.held_after} held)"
            return f"version {entry.version} says {after}, the entries up to it make {amount} ({held} held)"
        version = entry.version
    return ""
