"""The final state of a run, read from the simulated servers.

Neighbour: `simulation.py` puts it into the history.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from stockade.lab.execution.processes.answers import of_outcome
from stockade.lab.history.final_state import (
    FinalRow,
    FinalState,
    LedgerLine,
    Leftovers,
    OrderLine,
    OutboxLine,
    RecordedRequest,
)
from stockade.lab.simulation.database.server import DatabaseServer
from stockade.shop.model import constants
from stockade.store.outcome_codec import decode_outcome

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

    ledger = [
        LedgerLine(
            f"{each['kind']}:{each['row_id']}",
            each["version"],
            each["request_id"],
            each["delta"],
            each["held"],
            each["amount_after"],
            each["held_after"],
        )
        for each in records("ledger")
    ]
    states: dict[str, list[str]] = {}
    for each in sorted(records("ledger"), key=lambda entry: int(entry["version"])):
        if each["kind"] == constants.ORDER:
            states.setdefault(each["row_id"], []).append(each["note"])
    payments = Counter(each["order_id"] for each in records("payments") if each["status"] == constants.APPROVED)
    rows = tuple(_rows(records))
    return FinalState(
        initial={**initial, **{row.key: 0 for row in rows if row.key not in initial}},
        rows=rows,
        ledger=tuple(sorted(ledger)),
        requests=tuple([_request(each) for each in records("requests")]),
        orders=tuple(
            [
                OrderLine(each["id"], each["status"], (_first(each), *states.get(each["id"], ())), payments[each["id"]])
                for each in records("orders")
            ]
        ),
        outbox=_outbox(records("outbox")),
        leftovers=leftovers,
    )


def _rows(records: Any) -> Any:
    for table, (kind, amount, held) in _COUNTERS.items():
        for each in records(table):
            yield FinalRow(f"{kind}:{each['id']}", each[amount], each[held], each["version"])
    for kind, table in _MADE_BY_COMMANDS.items():
        for each in records(table):
            yield FinalRow(f"{kind}:{each['id']}", 0, 0, each["version"])


def _request(record: Mapping[str, Any]) -> RecordedRequest:
    outcome = of_outcome(decode_outcome(record["outcome"]))
    return RecordedRequest(record["id"], record["fingerprint"], not outcome.code, outcome.code, outcome.answer)


def _first(order: Mapping[str, Any]) -> str:
    return constants.PAID if order["pay"] == constants.POINTS else constants.RESERVED


def _outbox(records: Any) -> tuple[OutboxLine, ...]:
    numbers = Counter[str]()
    lines = []
    for each in sorted(records, key=lambda record: record["id"]):
        key = each["key"]
        event = f"{each['request_id']}:{each['seq']}"
        lines.append(OutboxLine(event, each["request_id"], each["kind"], key, numbers[key]))
        numbers[key] += 1
    return tuple(lines)
