"""Which rows a batch may expect: hot rows as the newest batch of this process leaves them.

A batch is decided on these rows, and its statement compares them under their locks before it writes. So a wrong
expectation costs time and never an order. Neighbour: `executor`.
Source: speculative execution with validation, as in Kung and Robinson, "On optimistic methods for concurrency control"
(1981).
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from stockade.core import Key, Row
from stockade.store.transaction.in_flight import InFlightBatch
from stockade.store.transaction.write_set import WriteSet

MAX_ROWS = 1_024  # hot rows that are remembered


class Speculation:
    """Remembers hot rows, and the rows that batches in flight change.

    A row is hot when one batch changed it more than once. Rows are expected only while expectations prove right: with
    other writers on the same rows they do not, and then no batch is decided twice.
    """

    def __init__(self) -> None:
        self._hot_rows: OrderedDict[Key, Row] = OrderedDict()
        self._pending_rows: dict[Key, Row] = {}
        self._newest: dict[Key, InFlightBatch] = {}
        self._trusted = False

    def record(self, write_set: WriteSet) -> None:
        """Remember the hot rows of a batch that is decided and about to be written."""
        for key, update in write_set.updates.items():
            if update.count > 1 or key in self._hot_rows:
                self._hot_rows[key] = update.after
                self._hot_rows.move_to_end(key)
        while len(self._hot_rows) > MAX_ROWS:
            self._hot_rows.popitem(last=False)

    def expected_rows(self, keys: Sequence[Key]) -> dict[Key, Row] | None:
        """These rows as they are expected; None unless all of them are hot and expectations are trusted."""
        if not self._trusted or any(key not in self._hot_rows for key in keys):
            return None
        return {key: self._hot_rows[key] for key in keys}

    def compare(self, keys: Sequence[Key], rows: Mapping[Key, Row]) -> None:
        """Learn from rows that were read under their locks whether to trust expectations."""
        known = [key for key in keys if key in self._hot_rows]
        if known:
            self.trust(all(self._hot_rows[key] == rows[key] for key in known))

    def trust(self, proved_right: bool) -> None:
        """Whether the last expectation proved right."""
        self._trusted = proved_right

    def register(self, batch: InFlightBatch, write_set: WriteSet, last_keys: Sequence[Key]) -> None:
        """A batch is about to be sent; `last_keys` are those of the rows that it locks last."""
        self.record(write_set)
        batch.rows = {key: update.after for key, update in write_set.updates.items()}
        self._pending_rows.update(batch.rows)
        if not batch.registered:  # decided again, it stays before those that came later
            batch.earlier, batch.registered = self.earlier_than(batch, last_keys), True
            self._newest.update((key, batch) for key in last_keys)

    def forget_pending_rows(self, batch: InFlightBatch) -> None:
        """A batch will not be written as it was decided: no later batch may expect its rows."""
        self._pending_rows = {key: row for key, row in self._pending_rows.items() if batch.rows.get(key) is not row}

    def complete(self, batch: InFlightBatch) -> None:
        """A batch has ended, well or not."""
        batch.ended.set()
        if batch.registered:
            self.forget_pending_rows(batch)
            self._newest = {key: newest for key, newest in self._newest.items() if newest is not batch}

    @property
    def any_in_flight(self) -> bool:
        """Whether a registered batch has not ended."""
        return bool(self._newest)

    def pending_rows(self, keys: Sequence[Key]) -> dict[Key, Row]:
        """Those of these rows that batches in flight change, as the newest one leaves them."""
        return {key: self._pending_rows[key] for key in keys if key in self._pending_rows}

    def earlier_than(self, batch: InFlightBatch, last_keys: Sequence[Key]) -> list[InFlightBatch]:
        """Batches in flight that this one must not overtake at its last rows."""
        if batch.registered:
            return list(batch.earlier)
        return list({id(each): each for key in last_keys if (each := self._newest.get(key))}.values())
