"""The look-up of request ids before a batch is written: only while clients repeat requests.

The write claims every id, and a recorded id makes it fail. So a repeated request that was not looked up costs its
batch, and those decided on its results, a second attempt; a look-up costs every batch a round trip.
Neighbour: `executor`.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Table

from stockade.core import Command
from stockade.store.engine.dialect import Dialect
from stockade.store.transaction.load import recorded_requests

REMEMBERED = 256  # look-ups after a repeated request; a batch may take two


class DuplicateLookup:
    """One for a store.

    Args:
        dialect: of its database.
        requests: the table of recorded requests.
    """

    def __init__(self, dialect: Dialect, requests: Table) -> None:
        self._dialect, self._requests = dialect, requests
        self._left = 0  # look-ups that are still to be made

    def saw_duplicate(self) -> None:
        """A request id was recorded before."""
        self._left = REMEMBERED

    def recorded(self, connection: Connection, commands: Sequence[Command]) -> Mapping[str, tuple[str, bytes]]:
        """As `recorded_requests`; empty, without a statement, while no request is repeated."""
        if not self._left:
            return {}
        self._left -= 1
        recorded = recorded_requests(connection, self._dialect, self._requests, commands)
        if recorded:
            self.saw_duplicate()
        return recorded
