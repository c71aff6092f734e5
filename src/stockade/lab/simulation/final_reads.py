"""The final state of a run, read from the simulated servers.

Neighbours: `simulation.py` puts it into the history; `recording/final_reads.py` makes the lines, as of a real database.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from stockade.lab.history.final_state import FinalRow, FinalState, Leftovers
from stockade.lab.recording.final_reads import ledger_line, order_lines, outbox_lines, recorded_request
from stockade.lab.simulation.database.server import DatabaseServer
from stockade.shop.model import constants

_COUNTERS = {"skus": ("stock", "on_hand", "reserved"), "point_accounts": ("points", "balance", "held")}

_MADE_BY_COMMANDS = {"order": "orders", "payment": "payments"}  # at version 1, which has no entry in the ledger


def final_state(server: DatabaseServer, initial: Mapping[str, int], leftovers: Leftovers) -> FinalState:
    """Everything that the database contains.

    Args:
        server: the database.
        initial: amounts of the rows before the first operation.
        leftovers: what was left behind.
    """

    def records(table: str) -> Any:
        return server.tables[table].records()

    paid = Counter(each["order_id"] for each in records("payments") if each["status"] == constants.APPROVED)
    rows = tuple(_rows(records))
    return FinalState(
        initial={**initial, **{row.key: 0 for row in rows if row.key not in initial}},
        rows=rows,
        ledger=tuple(sorted(map(ledger_line, records("ledger")))),
        requests=tuple(map(recorded_request, records("requests"))),
        orders=tuple(order_lines(records("orders"), records("ledger"), paid)),
        outbox=tuple(outbox_lines(records("outbox"))),
        leftovers=leftovers,
    )


def _rows(records: Any) -> Iterator[FinalRow]:
    for table, (kind, amount, held) in _COUNTERS.items():
        for each in records(table):
            yield FinalRow(f"{kind}:{each['id']}", each[amount], each[held], each["version"])
    for kind, table in _MADE_BY_COMMANDS.items():
        for each in records(table):
            yield FinalRow(f"{kind}:{each['id']}", 0, 0, each["version"])
