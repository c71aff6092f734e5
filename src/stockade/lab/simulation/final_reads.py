"""The final state of a run, read from the simulated servers.

Neighbour: `simulation.py` puts it into the history.
"""

from collections.abc import Mapping
from typing import Any

from stockade.lab.history.final_state import (
    FinalRow,
    FinalState,
    LedgerLine,
    Leftovers,
    OrderLine,
    OutboxLine,
    RecordedRequest,
)
from stockade.lab.simulation.answers import of_outcome
from stockade.lab.simulation.server import DatabaseServer
from stockade.store.outcome_codec import decode_outcome

_COUNTERS = {"skus": ("stock", "on_hand", "reserved"), "point_accounts": ("points", "balance", "held")}


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
    for each in records("ledger"):
        if each["kind"] == "order":
            states.setdefault(each["row_id"], []).append(each["note"])
    payments: dict[str, int] = {}
    for each in records("payments"):
        payments[each["order_id"]] = payments.get(each["order_id"], 0) + (each["status"] == "APPROVED")
    return FinalState(
        initial=initial,
        rows=tuple(_rows(records)),
        ledger=tuple(sorted(ledger)),
        requests=tuple([_request(each) for each in records("requests")]),
        orders=tuple(
            [
                OrderLine(each["id"], each["status"], tuple(states.get(each["id"], ())), payments.get(each["id"], 0))
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


def _request(record: Mapping[str, Any]) -> RecordedRequest:
    outcome = of_outcome(decode_outcome(record["outcome"]))
    return RecordedRequest(record["id"], record["fingerprint"], not outcome.code, outcome.code, outcome.answer)


def _outbox(records: Any) -> tuple[OutboxLine, ...]:
    numbers: dict[str, int] = {}
    lines = []
    for each in sorted(records, key=lambda record: record["id"]):
        key = each["key"]
        numbers[key] = numbers.get(key, 0) + 1
        event = f"{each['request_id']}-{each['seq']}"
        lines.append(OutboxLine(event, each["request_id"], each["kind"], key, numbers[key]))
    return tuple(lines)
