"""Whether request ids come again, as they do when clients repeat what was not answered: only then is it worth looking
them up before a batch is written.

The write claims every id. One that is taken fails it, so a repeated request that nobody looked up costs its batch, and
those in flight that were decided on it, a second attempt; a look-up costs every batch a round trip, and so at 60 orders
in a batch a tenth of the processor time of an order. Neighbours: `at_once` and `transact` ask, `load` reads.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from stockade.core import Command
from stockade.store.engine.dialect import Dialect
from stockade.store.transaction.load import known_requests

REMEMBERED = 256  # look-ups after one came again; a batch may take two


class Repeats:
    """One for a store.

    Args:
        dialect: of its database.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._left = 0  # look-ups still to be done

    def came(self) -> None:
        """A unique key was taken: an id, as a rule."""
        self._left = REMEMBERED

    def known(self, connection: Connection, commands: Sequence[Command]) -> Mapping[str, tuple[str, bytes]]:
        """(fingerprint, outcome) of the requests that are recorded; empty while none comes again."""
        if not self._left:
            return {}
        self._left -= 1
        known = known_requests(connection, self._dialect, commands)
        if known:
            self.came()
        return known
