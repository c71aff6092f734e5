"""Fold the commands of a batch over the loaded rows: pure, in order, no SQL. `save` writes the result."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from stockade.core import (
    Accepted,
    Change,
    Command,
    Decision,
    Event,
    IdempotencyKeyReused,
    Key,
    Outcome,
    Rejected,
    Row,
    Rows,
)
from stockade.store.schema.known_tables import KnownTables, Unfit
from stockade.store.schema.resource import Resource
from stockade.store.transaction.codec import decode_outcome, encode_body, encode_outcome
from stockade.store.transaction.json_values import check_json, encoded
from stockade.store.transaction.wrong_use import (
    MAX_EVENT_KEY,
    MAX_EVENT_KIND,
    change_problem,
    keys_problem,
    outcome_problem,
)

OUTBOX_PARTITIONS = 16  # fixed: events already written keep their part


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


MAX_NEEDS = 3  # how often one command may ask for more rows
FEW_KEYS = 8  # up to this many, looking through them is faster than making a set

Answer = Outcome | Exception | Needs
Booked = tuple[Row, Change, int, int]  # a row, its change, and both of its counters after that


@dataclass(slots=True)
class Batch:
    """Everything one transaction shall write, and the answer for each command."""

    answers: list[Answer] = field(default_factory=list)
    moved: dict[Key, Moved] = field(default_factory=dict)
    requests: list[dict[str, Any]] = field(default_factory=list)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    outbox: list[dict[str, Any]] = field(default_factory=list)
    inserts: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    overwrites: list[tuple[str, Mapping[str, Any], bool]] = field(default_factory=list)  # table, values, stays
    told: list[Any] = field(default_factory=list)  # the data of outcomes and the bodies of events
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
        tables: that the store knows.
        bare_clock: stamp with the command's clock alone, as the seeds do.
    """

    def __init__(self, resources: Mapping[str, Resource], tables: KnownTables, bare_clock: bool = False) -> None:
        self._resources = resources
        self._tables = tables
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
        alone = len(commands) == 1
        try:
            for command in commands:
                answer = self._replayed(command, known, seen, batch)
                if answer is None and not batch.made.isdisjoint(command.keys):
                    # a row that this batch inserts cannot be changed by the same statement: once more
                    answer = Needs(())
                elif answer is None:
                    answer = self._decide(command, rows, batch, alone)
                    seen[command.request_id] = (command.fingerprint, answer)
                batch.answers.append(answer)
            self._announce(batch)
            check_json(batch.told)
            self._tables.check_inserts(batch.inserts)
            self._tables.check_overwrites(batch.overwrites)
        except Unfit as error:
            raise Unfit(f"{commands[0].name if alone else 'a batch'} {error}") from None
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
            return IdempotencyKeyReused("this request id was used before with another content; take a new one")
        batch.replays += 1
        return answer

    def _decide(self, command: Command, rows: dict[Key, Row], batch: Batch, alone: bool) -> Answer:
        try:
            decision: object = command.decide(rows)
            if not isinstance(decision, Decision):
                return TypeError(f"{command.name} decided {decision!r:.100}, which must be a Decision")
            if decision.need_keys:
                missing = tuple(key for key in decision.need_keys if key not in rows)
                if missing:
                    return keys_problem(command.name, missing, self._resources) or Needs(missing)
            outcome = decision.outcome
            if outcome is None:
                return ValueError(f"{command.name} decided nothing: neither an outcome nor keys that it lacks")
            wrong = outcome_problem(outcome)
            booked = wrong or self._booked(command, decision.changes, rows, alone)
        except Exception as error:  # noqa: BLE001 - `decide` is total by contract; a broken one must not fail its neighbours
            return error
        if isinstance(booked, str):
            return ValueError(f"{command.name} {booked}")
        if outcome.accepted:
            versions = self._apply(command, booked, len(decision.events), rows, batch)
            self._records(command, decision, batch)
        else:
            versions = _seen(command.keys, rows)
        _tell(command, decision, batch)
        if isinstance(outcome, Accepted):
            outcome = Accepted(outcome.data, versions)
        else:
            outcome = Rejected(outcome.code, outcome.data, versions)
        batch.told.append(outcome.data)
        batch.requests.append(
            {
                "id": command.request_id,
                "fingerprint": command.fingerprint,
                "outcome": encoded(encode_outcome, outcome),
                "created_ms": command.now_ms,
            }
        )
        return outcome

    def _booked(self, command: Command, changes: Mapping[Key, Change], rows: Rows, alone: bool) -> list[Booked] | str:
        """What the changes do to their rows; or what is said of them that cannot be: the ledger's sums have to be the
        rows' own."""
        named: Container[Key] = rows  # of this command alone, or else of its neighbours too
        if not alone:
            named = command.keys if len(command.keys) <= FEW_KEYS else frozenset(command.keys)
        booked = []
        for key, change in changes.items():
            row = rows.get(key)
            if key not in named and not alone:
                named = _asked_for(command, rows)
            if row is None or key not in named:
                return f"changes {key}, which it did not name"
            resource = self._resources[key.kind]
            if type(change) is not Change or type(change[0]) is not resource.changed:
                return f"changes {key} {change_problem(resource, change)}"
            state, delta, held, _, _ = change
            known = row.state
            before = resource.zero if known is None else known
            amount_after, held_after = resource.totals(state)
            amount_before, held_before = (0, 0) if before is None else resource.totals(before)
            if amount_after - amount_before != delta or held_after - held_before != held:
                return f"moves the counters of {key} by other than the {delta} and {held} that it says"
            if type(delta) is not int or type(held) is not int:
                return f"changes {key} by {delta!r:.100} and {held!r:.100}, which must be of type int"
            if resource.fixed and known is not None and resource.constants(state) != resource.constants(known):
                return f"changes {', '.join(resource.fixed)} of {key}, which never change"
            booked.append((row, change, amount_after, held_after))
        return booked

    def _apply(
        self, command: Command, booked: Sequence[Booked], told: int, rows: dict[Key, Row], batch: Batch
    ) -> dict[str, int]:
        versions: dict[str, int] = {}
        request_id, now_ms = command.request_id, command.now_ms
        for row, (state, delta, held, note, ref), amount_after, held_after in booked:
            key, _, version, stamp = row
            version += 1
            stamp = now_ms if self._bare_clock or now_ms > stamp else stamp + 1
            after = rows[key] = Row(key, state, version, stamp)
            moved = batch.moved.get(key)
            if moved is None:
                moved = batch.moved[key] = Moved(row, after)
            moved.row = after
            moved.delta += delta
            moved.held += held
            moved.count += 1
            moved.by, moved.told = command, told
            moved.only_counters = moved.only_counters and _only_counters(self._resources[key.kind], row.state, state)
            kind, row_id = key
            versions[f"{kind}:{row_id}"] = version
            batch.ledger.append(
                {
                    "request_id": request_id,
                    "kind": kind,
                    "row_id": row_id,
                    "version": version,
                    "delta": delta,
                    "held": held,
                    "amount_after": amount_after,
                    "held_after": held_after,
                    "note": note,
                    "ref": ref,
                    "at_ms": now_ms,
                }
            )
        return versions

    def _announce(self, batch: Batch) -> None:
        """Tell once of each row that the batch changed, in the name of the last command that changed it."""
        told: dict[str, int] = {}
        for key, moved in batch.moved.items():
            announce = self._resources[key.kind].announce
            if announce is not None and moved.by is not None:
                seq = told.get(moved.by.request_id, moved.told)
                told[moved.by.request_id] = seq + 1
                batch.outbox.append(_posted(moved.by, seq, announce(moved.base, moved.row), batch.told))

    def _records(self, command: Command, decision: Decision, batch: Batch) -> None:
        for insert in decision.inserts:
            if insert.replace:
                batch.overwrites.append((insert.table, insert.values, True))
                continue
            values = insert.values
            if insert.table in self._tables.versioned:
                values = {**values, "version": 1, "stamp": command.now_ms}
            batch.inserts.setdefault(insert.table, []).append(values)
            resource = self._kinds.get(insert.table)
            if resource is not None and resource.parent in values:  # without it the record is refused below
                batch.made.add((resource.kind, values[resource.parent]))
        for delete in decision.deletes:
            batch.overwrites.append((delete.table, delete.values, False))


def _tell(command: Command, decision: Decision, batch: Batch) -> None:
    """Events tell of what was done, or of a refusal."""
    for seq, event in enumerate(decision.events):
        batch.outbox.append(_posted(command, seq, event, batch.told))


def _posted(command: Command, seq: int, event: Event, told: list[Any]) -> dict[str, Any]:
    """An event as a row of the outbox; its id is the request's and its number there.

    Raises:
        Unfit: it is none, or does not fit. Whether its body is JSON is looked at for the whole batch.
    """
    if type(event) is not Event or type(event.key) is not Key:
        raise Unfit(f"tells {event!r:.200}, which is no event with a kind, a key and a body")
    kind, (row_kind, row_id), body = event
    name = f"{row_kind}:{row_id}"
    right = type(kind) is str and 0 < len(kind) <= MAX_EVENT_KIND and len(name) <= MAX_EVENT_KEY
    if not (right and (type(body) is dict or isinstance(body, Mapping))):
        raise Unfit(f"tells {event!r:.200}, which is no event with a kind, a key and a body that fit")
    try:
        part = part_of(name)
    except UnicodeEncodeError as error:
        raise Unfit(f"tells an event with the key {name!a:.100}, which is no text: {error.reason}") from None
    told.append(body)
    return {
        "request_id": command.request_id,
        "seq": seq,
        "kind": kind,
        "key": name,
        "body": encoded(encode_body, body),
        "created_ms": command.now_ms,
        "part": part,
    }


def part_of(key: str) -> int:
    """The part of the outbox that the events of a key (`kind:id`) are in: one relay at a time works on a part."""
    return crc32(key.encode()) % OUTBOX_PARTITIONS


def _asked_for(command: Command, rows: Rows) -> frozenset[Key]:
    """The keys that a command names, and those that it asks for where its neighbours in the batch have loaded none.

    A cancel whose stock a neighbour has loaded need not ask for it, and would have.
    """
    keys = frozenset(command.keys)
    try:
        for _ in range(MAX_NEEDS):
            decision = command.decide({key: rows[key] for key in keys if key in rows})
            if keys.issuperset(decision.need_keys):
                break
            keys = keys.union(decision.need_keys)
    except Exception:  # noqa: BLE001 - without its neighbours' rows it fails instead of asking: it may not have them
        return keys
    return keys


def _only_counters(resource: Resource, before: Any, after: Any) -> bool:
    """Whether nothing but the counters differs, so that a conditional UPDATE may move them."""
    if before is None or not resource.counters:
        return False
    return bool(resource.others(before) == resource.others(after))


def _seen(keys: Iterable[Key], rows: Rows) -> dict[str, int]:
    return {f"{key.kind}:{key.id}": rows[key].version for key in keys if key in rows}
