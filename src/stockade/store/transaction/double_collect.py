"""Refusals that rest on rows of several kinds: the rows are read a second time, because each kind is a read of its own.

An accepted command is safe without this: its write compares the versions that it read. A refusal writes no row, so it
could name a state that never existed, with an old balance beside a new stock. Rows that are the same in two reads, one
after the other, were all so at one moment in between: a double collect (Afek, Attiya, Dolev, Gafni, Merritt and Shavit,
"Atomic snapshots of shared memory", 1993). Neighbours: `optimistic` calls it before the write.
"""

from collections.abc import Callable, Mapping, Sequence

from stockade.core import Guard, GuardKind, Key, Rejected, Row, merged_keys
from stockade.store.transaction.pending_batch import PendingBatch
from stockade.store.transaction.save import RowChanged
from stockade.store.transaction.write_set import WriteSet

Load = Callable[[Sequence[Key]], Mapping[Key, Row]]


def rows_of_refusals(batch: PendingBatch, write_set: WriteSet, guard: Guard) -> list[Key]:
    """The rows on which a batch refuses commands, where they took several reads; in the global order.

    Args:
        batch: that was decided.
        write_set: its decisions.
        guard: NONE compares nothing, so it confirms nothing.
    """
    if guard.kind is GuardKind.NONE:
        return []
    refused = [
        command
        for command, answer in zip(batch.commands, write_set.answers, strict=True)
        if isinstance(answer, Rejected) and not answer.replayed
    ]
    keys = merged_keys(refused, batch.extra_keys) if refused else []
    return keys if len({key.kind for key in keys}) > 1 else []


def confirm(keys: Sequence[Key], rows: Mapping[Key, Row], write_set: WriteSet, load: Load) -> None:
    """Read these rows again and compare their versions.

    Args:
        keys: see `rows_of_refusals`.
        rows: as the batch leaves them.
        write_set: knows the rows that the batch changes as they were before.
        load: reads rows without locks.

    Raises:
        RowChanged: another writer changed one of them since it was read.
    """
    again = load(keys)
    for key in keys:
        update = write_set.updates.get(key)
        before = update.before if update is not None else rows[key]
        if again[key].version != before.version:
            raise RowChanged(key)
