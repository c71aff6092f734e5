"""Records of the outbox: the events of commands, and one event for each changed row whose resource wants it.

Neighbours: `decide` calls it; `store.outbox` reads the records back.
"""

from collections.abc import Mapping
from typing import Any
from zlib import crc32

from stockade.core import Command, Event, Key
from stockade.store.outcome_codec import encode_body
from stockade.store.schema.known_tables import Unfit
from stockade.store.schema.resource import Resource
from stockade.store.transaction.json_checks import encoded
from stockade.store.transaction.validation import MAX_EVENT_KEY, MAX_EVENT_KIND
from stockade.store.transaction.write_set import WriteSet

OUTBOX_PARTITIONS = 16  # fixed: events that are already written keep their partition


def partition_of(key: str) -> int:
    """The partition of the outbox that holds the events of a key (`kind:id`): one relay at a time works on it."""
    return crc32(key.encode()) % OUTBOX_PARTITIONS


def add_command_events(command: Command, events: Any, write_set: WriteSet) -> None:
    """Add the events of one decision; a refusal may have events too.

    Raises:
        Unfit: as `_record`.
    """
    for seq, event in enumerate(events):
        write_set.outbox.append(_record(command, seq, event, write_set))


def add_change_events(write_set: WriteSet, resources: Mapping[str, Resource]) -> None:
    """Add one event for each changed row, under the request id of the last command that changed it.

    Raises:
        Unfit: as `_record`.
    """
    next_seq: dict[str, int] = {}  # by request id: the events of the command itself come first
    for key, update in write_set.updates.items():
        change_event, command = resources[key.kind].change_event, update.last_command
        if change_event is not None and command is not None:
            seq = next_seq.get(command.request_id, update.event_count)
            next_seq[command.request_id] = seq + 1
            write_set.outbox.append(_record(command, seq, change_event(update.before, update.after), write_set))


def _record(command: Command, seq: int, event: Any, write_set: WriteSet) -> dict[str, Any]:
    """One record; its id is the request id and the number of the event there.

    Raises:
        Unfit: it is no event, or it does not fit. Whether its body is JSON is checked once for the whole batch.
    """
    if type(event) is not Event or type(event.key) is not Key:
        raise Unfit(f"emits {event!r:.200}, which is no event with a kind, a key and a body")
    kind, (row_kind, row_id), body = event
    name = f"{row_kind}:{row_id}"
    right = type(kind) is str and 0 < len(kind) <= MAX_EVENT_KIND and len(name) <= MAX_EVENT_KEY
    if not (right and (type(body) is dict or isinstance(body, Mapping))):
        raise Unfit(f"emits {event!r:.200}, which is no event with a kind, a key and a body that fit")
    try:
        partition = partition_of(name)
    except UnicodeEncodeError as error:
        raise Unfit(f"emits an event with the key {name!a:.100}, which is no text: {error.reason}") from None
    write_set.json_values.append(body)
    return {
        "request_id": command.request_id,
        "seq": seq,
        "kind": kind,
        "key": name,
        "body": encoded(encode_body, body),
        "created_ms": command.now_ms,
        "part": partition,
    }
