"""Decide a batch before it holds its hot rows, on the rows as the batch before it is about to leave them.

A hot row is held from its load to the commit. A batch that decides only after its load makes everybody who waits for
that row wait for its arithmetic, and leaves the database idle meanwhile. So it is decided on a forecast of the rows it
loads last. The decisions count only if each row, once it is locked, equals the one that was assumed: `fold` is a pure
function, so equal rows give equal decisions, and anything else is decided anew. (Speculative execution with validation,
as in Kung and Robinson 1981, but under row locks.) Neighbour: `transact`.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from weakref import WeakValueDictionary

from stockade.core import Key, Row
from stockade.store.transaction.decide import Batch

MAX_ROWS = 1_024


class Flight:
    """A batch from when it is decided to its end, for those that come after it.

    Attributes:
        before: batches on the same last rows that were in flight when this one departed.
        ended: set when the batch has its answers.
        departed: whether it was decided ahead, and sent.
        rows: what it leaves.
    """

    __slots__ = ("before", "departed", "ended", "rows")

    def __init__(self) -> None:
        self.before: Sequence[Flight] = ()
        self.ended = asyncio.Event()
        self.departed = False
        self.rows: Mapping[Key, Row] = {}


async def landed(flights: Sequence[Flight], deadline: float) -> bool:
    """Wait until these have ended; False when there are none, or not before the deadline (monotonic clock)."""
    if not flights:
        return False
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            for each in flights:
                await each.ended.wait()
    except TimeoutError:
        return False
    return True


class Forecast:
    """Hot rows as the newest batch of this process left them, or is about to.

    A row is hot when one batch changed it more than once. A forecast is trusted while forecasts come true: with other
    writers on the same rows they do not, and then nothing is decided twice.
    """

    def __init__(self) -> None:
        self._rows: OrderedDict[Key, Row] = OrderedDict()
        self._turns: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self._flying: dict[Key, Row] = {}
        self._newest: dict[Key, Flight] = {}
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

    def depart(self, flight: Flight, batch: Batch, last: Sequence[Key]) -> None:
        """A batch is decided and about to be sent as one statement; `last` are the rows that it locks last."""
        self.note(batch)
        flight.rows = {key: moved.row for key, moved in batch.moved.items()}
        self._flying.update(flight.rows)
        if not flight.departed:  # sent again, it keeps its place before those that came meanwhile
            flight.before, flight.departed = self.ahead_of(flight, last), True
            self._newest.update((key, flight) for key in last)

    def take_back(self, flight: Flight) -> None:
        """Its rows will be others, if any."""
        self._flying = {key: row for key, row in self._flying.items() if flight.rows.get(key) is not row}

    def land(self, flight: Flight) -> None:
        """It has ended, well or not."""
        flight.ended.set()
        if flight.departed:
            self.take_back(flight)
            self._newest = {key: newest for key, newest in self._newest.items() if newest is not flight}

    @property
    def in_flight(self) -> bool:
        """Whether any batch is."""
        return bool(self._newest)

    def flying(self, keys: Sequence[Key]) -> dict[Key, Row]:
        """Those of these rows that a batch in flight changes, as the newest one leaves them."""
        return {key: self._flying[key] for key in keys if key in self._flying}

    def ahead_of(self, flight: Flight, last: Sequence[Key]) -> list[Flight]:
        """Batches in flight that this one must not overtake at its last rows."""
        if flight.departed:
            return list(flight.before)
        return list({id(each): each for key in last if (each := self._newest.get(key))}.values())

    def turns(self, keys: Sequence[Key]) -> list[asyncio.Lock]:
        """What to hold, in this order, from before these rows are asked for until they are held: of two batches whose
        statements are on their way, the one that the database reads first would come first."""
        return [self._turns.setdefault(key, asyncio.Lock()) for key in keys if key in self._rows]

    def compare(self, keys: Sequence[Key], rows: Mapping[Key, Row]) -> None:
        """Learn from rows that were read under their locks whether to trust the next forecast."""
        known = [key for key in keys if key in self._rows]
        if known:
            self.trust(all(self._rows[key] == rows[key] for key in known))

    def trust(self, came_true: bool) -> None:
        """Whether to trust the next forecast."""
        self._trusted = came_true


class Ahead:
    """One batch, decided before its last rows are held.

    Args:
        forecast: of the store.
        decide: folds the batch over rows, which it may change.
    """

    def __init__(self, forecast: Forecast, decide: Callable[[dict[Key, Row]], Batch]) -> None:
        self._forecast, self._decide = forecast, decide
        self._missing: Sequence[Key] = ()
        self._assumed: dict[Key, Row] = {}
        self.batch: Batch | None = None

    def begin(self, held: Mapping[Key, Row], missing: Sequence[Key]) -> Mapping[Key, Row] | None:
        """Decide on the rows that are held and a forecast of those that are missing; the forecast, or None."""
        self._missing = missing
        expected = self._forecast.rows(missing)
        if expected is not None:
            self._assumed = {**held, **expected}
            self.batch = self._decide(dict(self._assumed))
            self._forecast.note(self.batch)
        return expected

    def end(self, rows: Mapping[Key, Row]) -> Batch | None:
        """The batch, if it was decided on exactly these rows."""
        if self.batch is None:
            self._forecast.compare(self._missing, rows)
            return None
        right = self._assumed == rows
        self._forecast.trust(right)
        return self.batch if right else None
