"""Version chain: the versions of each row are consecutive, and each amount follows from the one before.

Every lost update shows here, at its place: two entries of one version, a gap, or an amount that does not follow. The
changes are those that the operations announced, as far as their workload can say them. A version that somebody saw and
nobody wrote is an aborted read. The method is that of
register histories with versions: sort and replay instead of searching.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from stockade.lab.checkers.indexed_history import READ, IndexedHistory
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.final_state import FinalRow, LedgerLine
from stockade.lab.history.operation import OK

RULE: Final = "version-chain"
ABSENT: Final = 0  # the version of a row that is not there yet; the ledger has no entry for the insertion of an order


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Report the first wrong entry of each row, then operations that name versions which are not theirs."""
    announced = _announced(history)
    rows = {row.key: row for row in history.final.rows}
    for key, lines in history.ledger.items():
        found = _first_error(history, lines, announced.get(key, {})) or _end_error(rows.get(key), lines[-1])
        if found:
            line, text = found
            yield Violation(RULE, f"{key}: {text}", key=key, version=line.version, request_id=line.request_id)
    for row in rows.values():
        initial = history.final.initial.get(row.key)
        if row.key not in history.ledger and initial is not None and row.amount != initial:
            text = f"{row.key}: went from {initial} to {row.amount} without an entry in the ledger"
            yield Violation(RULE, text, key=row.key, version=row.version)
    yield from _named_by_operations(history)


def _announced(history: IndexedHistory) -> Mapping[str, Mapping[str, int]]:
    """By row and request: the change that the request asked for."""
    found: dict[str, dict[str, int]] = {}
    for operation in history.history.operations:
        for key, delta in operation.deltas.items():
            found.setdefault(key, {})[operation.request_id] = delta
    return found


def _first_error(
    history: IndexedHistory, lines: Sequence[LedgerLine], announced: Mapping[str, int]
) -> tuple[LedgerLine, str] | None:
    first = lines[0]
    initial = history.final.initial.get(first.key)
    if initial is None and first.version != 1:
        return first, f"its first version is {first.version}, and must be 1"
    version, amount, held = first.version - 1, initial or 0, 0
    for line in lines:
        if line.version == version:
            return line, f"version {version} was written more than once"
        if line.version != version + 1:
            return line, f"version {line.version} follows version {version}"
        delta = announced.get(line.request_id)
        if delta is not None and delta != line.delta:
            return line, f"version {line.version} moves it by {line.delta}, its request asked for {delta}"
        amount, held, version = amount + line.delta, held + line.held, line.version
        if line.amount_after != amount or line.held_after != held:
            after = f"{line.amount_after} ({line.held_after} held)"
            return line, f"version {version} says {after}, the changes up to it make {amount} ({held} held)"
    return None


def _end_error(row: FinalRow | None, last: LedgerLine) -> tuple[LedgerLine, str] | None:
    if row is None:
        return last, "has entries in the ledger, but there is no such row"
    if row.version != last.version:
        return last, f"the row is at version {row.version}, its ledger ends at {last.version}"
    if (row.amount, row.held) != (last.amount_after, last.held_after):
        is_ = f"{row.amount} ({row.held} held)"
        return last, f"the row has {is_}, its ledger ends at {last.amount_after} ({last.held_after} held)"
    return None


def _named_by_operations(history: IndexedHistory) -> Iterator[Violation]:
    """An accepted operation names versions that its request wrote, any other saw versions that somebody wrote.

    Reports the first wrong one of each row.
    """
    writers = {(line.key, line.version): line.request_id for line in history.final.ledger}
    firsts = {row.key: row.version for row in history.final.rows}  # of a row without a ledger: nobody wrote it
    firsts |= {key: lines[0].version - 1 for key, lines in history.ledger.items()}
    reported = set()
    for operation in history.history.operations:
        wrote = operation.type == OK and operation.command != READ
        for key, version in operation.versions.items():
            writer = writers.get((key, version))
            if key not in firsts or key in reported or (writer == operation.request_id if wrote else writer):
                continue
            if not wrote and (version == firsts[key] or (version == ABSENT and not history.final.initial.get(key))):
                continue
            reported.add(key)
            verb = "wrote" if wrote else "saw"
            who = f"request {writer} did" if writer else "nobody wrote it"
            what = f"operation {operation.number} ({operation.command})"
            yield Violation(
                RULE,
                f"{key}: {what} says that it {verb} version {version}, {who}",
                key=key,
                version=version,
                request_id=operation.request_id,
                operation=operation.number,
                at_ns=operation.return_ns,
            )
