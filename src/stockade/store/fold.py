"""Fold the commands of a batch over the loaded rows: pure, in order, no SQL. `save` writes the result."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from stockade.core import Accepted, Command, Decision, Event, Key, Outcome, Rejected, RequestReused, Row, Rows
from stockade.store.codec import decode_outcome, encode_body, encode_outcome
from stockade.store.resource import Resource

OUTBOX_PARTS = 16  # fixed: events already written keep their part


@dataclass(slots=True)
class Moved:
    """A row that the batch changed: as loaded, as it shall be, and the sum of its changes."""

    base: Row
    row: Row
    delta: int = 0
    held: int = 0
    count: int = 0
    only_counters: bool = True
    by: Command | None = None  # the last that moved it
    told: int = 0  # how many events that one told itself


@dataclass(frozen=True, slots=True)
class Needs:
    """The answer for a command that asked for more rows, or for one that this batch has yet to write: it is run again,
    alone, with all of them."""

    keys: tuple[Key, ...]


Answer = Outcome | Exception | Needs


@dataclass(slots=True)
class Batch:
    """Everything one transaction shall write, and the answer for each command."""

    answers: list[Answer] = field(default_factory=list)
    moved: dict[Key, Moved] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    outbox: list[dict[str, Any]] = field(default_factory=list)
    inserts: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    overwrites: list[tuple[str, Mapping[str, Any], bool]] = field(default_factory=list)  # table, values, stays
    replays: int = 0
    made: set[tuple[str, str]] = field(default_factory=set)  # keys of rows among `inserts`
    again: Callable[[Mapping[Key, Row]], "Batch"] | None = None  # decide anew where these rows are the true ones
    written: bool = False  # by the statement that locked its hot row

    @property
    def replaces(self) -> bool:
        """Whether a record takes the place of another. The next batch may begin only after its commit: a DELETE of that
        batch goes by what was committed when its statement began, and would miss the record."""
        return any(stays for _, _, stays in self.overwrites)


class Folder:
    """Folds commands into a Batch.

    Args:
        resources: by kind.
        versioned: names of the tables whose inserts get a version and a stamp.
        bare_clock: stamp with the command's clock alone, as the seeds do.
    """

    def __init__(self, resources: Mapping[str, Resource], versioned: frozenset[str], bare_clock: bool = False) -> None:
        self._resources = resources
        self._versioned = versioned
        self._bare_clock = bare_clock
        self._kinds = {resource.table.name: resource for resource in resources.values()}

    def fold(self, commands: Sequence[Command], rows: dict[Key, Row], known: Mapping[str, tuple[str, bytes]]) -> Batch:
        """Decide the commands in order; each sees what the earlier ones changed.

        Args:
            commands: the batch.
            rows: every loaded row, and a Row without state for every key that has none; updated in place.
            known: request id -> (fingerprint, recorded outcome).
        """
        batch = Batch()
        # it does not hold the batch: a cycle would keep every batch until the collector comes
        batch.again = lambda true: self.fold(commands, {**rows, **true}, known)
        seen: dict[str, tuple[str, Answer]] = {}
        for command in commands:
            answer = self._replayed(command, known, seen, batch)
            if answer is None and not batch.made.isdisjoint(command.keys):
                answer = Needs(())  # a row that this batch inserts cannot be changed by the same statement: once more
            elif answer is None:
                answer = self._decide(command, rows, batch)
                seen[command.request_id] = (command.fingerprint, answer)
            batch.answers.append(answer)
        self._announce(batch)
        return batch

    def _replayed(
        self,
        command: Command,
        known: Mapping[str, tuple[str, bytes]],
        seen: dict[str, tuple[str, Answer]],
        batch: Batch,
    ) -> Answer | None:
        """The recorded answer to a request id, from the table or from earlier in this batch."""
        request_id = command.request_id
        if request_id in known:
            fingerprint, blob = known[request_id]
            answer: Answer = decode_outcome(blob)
        elif request_id in seen:
            fingerprint, answer = seen[request_id]
            if isinstance(answer, tuple):
                answer = answer._replace(replayed=True)
            elif fingerprint != command.fingerprint:
                return Needs(())  # that one claims no id: only once it has its outcome is it known which came first
        else:
            return None
        if fingerprint != command.fingerprint:
            return RequestReused("this request id was used before with another content; take a new one")
        batch.replays += 1
        return answer

    def _decide(self, command: Command, rows: dict[Key, Row], batch: Batch) -> Answer:
        try:
            decision = command.decide(rows)
        except Exception as error:  # noqa: BLE001 - `decide` is total by contract; a broken one must not fail its neighbours
            return error
        if decision.need_keys:
            missing = tuple(key for key in decision.need_keys if key not in rows)
            if missing:
                return Needs(missing)
        outcome = decision.outcome
        if outcome is None:
            return ValueError(f"{command.name} decided nothing: neither an outcome nor keys that it lacks")
        wrong = self._contradiction(decision, rows)
        if wrong is not None:
            return ValueError(f"{command.name} {wrong}")
        versions = self._apply(command, decision, rows, batch) if outcome.accepted else _seen(command.keys, rows)
        _tell(command, decision, batch)
        if isinstance(outcome, Accepted):
            outcome = Accepted(outcome.data, versions)
        else:
            outcome = Rejected(outcome.code, outcome.data, versions)
        batch.requests.append(
            {
                "id": command.request_id,
                "fingerprint": command.fingerprint,
                "outcome": encode_outcome(outcome),
                "created_ms": command.now_ms,
            }
        )
        return outcome

    def _contradiction(self, decision: Decision, rows: Rows) -> str | None:
        """What a decision says that cannot be, or None: the ledger's sums have to be the rows' own."""
        for key, change in decision.changes.items():
            if key not in rows:
                return f"changes {key}, which it did not name"
            resource = self._resources[key.kind]
            before = resource.zero if rows[key].state is None else rows[key].state
            amount, held = resource.totals(change.state)
            amount_was, held_was = (0, 0) if before is None else resource.totals(before)
            if amount - amount_was != change.delta or held - held_was != change.held:
                return f"moves the counters of {key} by other than the {change.delta} and {change.held} that it says"
        return None

    def _apply(self, command: Command, decision: Decision, rows: dict[Key, Row], batch: Batch) -> dict[str, int]:
        versions: dict[str, int] = {}
        for key, change in decision.changes.items():
            row = rows[key]
            version = row.version + 1
            stamp = command.now_ms if self._bare_clock else max(command.now_ms, row.stamp + 1)
            after = Row(key, change.state, version, stamp)
            moved = batch.moved.get(key)
            if moved is None:
                moved = batch.moved[key] = Moved(row, after)
            resource = self._resources[key.kind]
            moved.row = after
            moved.delta += change.delta
            moved.held += change.held
            moved.count += 1
            moved.by, moved.told = command, len(decision.events)
            moved.only_counters = moved.only_counters and _only_counters(resource, row.state, change.state)
            amount, held = resource.totals(change.state)
            rows[key] = after
            versions[f"{key.kind}:{key.id}"] = version
            batch.ledger.append(
                {
                    "request_id": command.request_id,
                    "kind": key.kind,
                    "row_id": key.id,
                    "version": version,
                    "delta": change.delta,
                    "held": change.held,
                    "amount_after": amount,
                    "held_after": held,
                    "note": change.note,
                    "ref": change.ref,
                    "at_ms": command.now_ms,
                }
            )
        self._records(command, decision, batch)
        return versions

    def _announce(self, batch: Batch) -> None:
        """Tell once of each row that the batch changed, in the name of the last command that changed it."""
        told: dict[str, int] = {}
        for key, moved in batch.moved.items():
            announce = self._resources[key.kind].announce
            if announce is not None and moved.by is not None:
                seq = told.get(moved.by.request_id, moved.told)
                told[moved.by.request_id] = seq + 1
                batch.outbox.append(_posted(moved.by, seq, announce(moved.base, moved.row)))

    def _records(self, command: Command, decision: Decision, batch: Batch) -> None:
        for insert in decision.inserts:
            if insert.replace:
                batch.overwrites.append((insert.table, insert.values, True))
                continue
            values = dict(insert.values)
            if insert.table in self._versioned:
                values["version"] = 1
                values["stamp"] = command.now_ms
            batch.inserts.setdefault(insert.table, []).append(values)
            resource = self._kinds.get(insert.table)
            if resource is not None:
                batch.made.add((resource.kind, values[resource.parent]))
        for delete in decision.deletes:
            batch.overwrites.append((delete.table, delete.values, False))


def _tell(command: Command, decision: Decision, batch: Batch) -> None:
    """Events tell of what was done, or of a refusal."""
    for seq, event in enumerate(decision.events):
        batch.outbox.append(_posted(command, seq, event))


def _posted(command: Command, seq: int, event: Event) -> dict[str, Any]:
    """An event as a row of the outbox; its id is the request's and its number there."""
    return {
        "request_id": command.request_id,
        "seq": seq,
        "kind": event.kind,
        "key": f"{event.key.kind}:{event.key.id}",
        "body": encode_body(event.body),
        "created_ms": command.now_ms,
        "part": part_of(event.key),
    }


def part_of(key: Key) -> int:
    """The part of the outbox that a key's events are in: one relay at a time works on a part."""
    return crc32(f"{key.kind}:{key.id}".encode()) % OUTBOX_PARTS


def _only_counters(resource: Resource, before: Any, after: Any) -> bool:
    """Whether nothing but the counters differs, so that a conditional UPDATE may move them."""
    if before is None or not resource.counters:
        return False
    return bool(resource.others(before) == resource.others(after))


def _seen(keys: Iterable[Key], rows: Rows) -> dict[str, int]:
    return {f"{key.kind}:{key.id}": rows[key].version for key in keys if key in rows}
