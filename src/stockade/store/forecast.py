"""Decide a batch while it waits for its hot rows, on the rows as the batch before it is about to leave them.

A hot row is held from its load to the commit. A batch that decides only after its load makes everybody who waits for
that row wait for its arithmetic, and leaves the database idle meanwhile. So while the last rows of a load are waited
for, the batch is decided on a forecast of them. The decisions count only if every row that is then read under its lock
equals the one that was assumed: `fold` is a pure function, so equal rows give equal decisions, and anything else is
decided anew. (Speculative execution with validation, as in Kung and Robinson 1981, but under row locks.)
Neighbour: `transact`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

from stockade.core import Key, Row
from stockade.store.fold import Batch

MAX_ROWS = 1_024


class Forecast:
    """Hot rows as the newest batch of this process left them, or is about to.

    A row is hot when one batch changed it more than once. A forecast is trusted while forecasts come true: with other
    writers on the same rows they do not, and then nothing is decided twice.
    """

    def __init__(self) -> None:
        self._rows: OrderedDict[Key, Row] = OrderedDict()
        self._trusted = False

    def note(self, batch: Batch) -> None:
        """Remember the hot rows of a batch that is decided and about to be written."""
        for key, moved in batch.moved.items():
            if moved.count > 1 or key in self._rows:
                self._rows[key] = moved.row
                self._rows.move_to_end(key)
        while len(self._rows) > MAX_ROWS:
            self._rows.popitem(last=False)

    def rows(self, keys: Sequence[Key]) -> dict[Key, Row] | None:
        """These rows, if all of them are known and trusted."""
        if not self._trusted or any(key not in self._rows for key in keys):
            return None
        return {key: self._rows[key] for key in keys}

    def compare(self, keys: Sequence[Key], rows: Mapping[Key, Row]) -> None:
        """Learn from rows that were read under their locks whether to trust the next forecast."""
        known = [key for key in keys if key in self._rows]
        if known:
            self._trusted = all(self._rows[key] == rows[key] for key in known)


class Ahead:
    """One batch, decided by the event loop while its transaction waits for the last rows.

    Args:
        forecast: of the store.
        decide: folds the batch over rows, which it may change, and prepares its write.
    """

    def __init__(self, forecast: Forecast, decide: Callable[[dict[Key, Row]], Batch]) -> None:
        self._forecast, self._decide = forecast, decide
        self._missing: Sequence[Key] = ()
        self._assumed: dict[Key, Row] | None = None
        self._batch: Batch | None = None

    def begin(self, held: Mapping[Key, Row], missing: Sequence[Key]) -> None:
        """Hear, before the last rows are asked for, which ones those are and which are held by now."""
        self._missing = missing
        expected = self._forecast.rows(missing)
        if expected is not None:
            self._assumed = {**held, **expected}
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        if self._assumed is not None:  # else the rows were there first
            self._batch = self._decide(dict(self._assumed))

    def end(self, rows: Mapping[Key, Row]) -> Batch | None:
        """The batch, if it was decided on exactly these rows."""
        self._forecast.compare(self._missing, rows)
        assumed, self._assumed = self._assumed, None
        return self._batch if assumed == rows else None
