"""Decide the commands of a batch on the loaded rows: pure, in order, no SQL.

Neighbours: `load` reads the rows, `write_set` is the result, `save` writes it.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

from stockade.core import Accepted, Change, Command, Decision, IdempotencyKeyReused, Insert, Key, Rejected, Row, Rows
from stockade.core.decision import MAX_EXTRA_KEY_ROUNDS
from stockade.store.outcome_codec import decode_outcome, encode_outcome
from stockade.store.schema.known_tables import KnownTables, Unfit
from stockade.store.schema.resource import Resource
from stockade.store.transaction.json_checks import check_json, encoded
from stockade.store.transaction.outbox_events import add_change_events, add_command_events
from stockade.store.transaction.validation import change_problem, decide_problem, keys_problem, outcome_problem
from stockade.store.transaction.write_set import NEXT_TRANSACTION, Answer, MissingKeys, Overwrite, RowUpdate, WriteSet

FEW_KEYS = 8  # up to this many keys a linear search is faster than building a set

CheckedChange: TypeAlias = tuple[Row, Change, int, int]  # a row, its change, and both of its counters afterwards
Recorded: TypeAlias = Mapping[str, tuple[str, bytes]]  # request id -> (fingerprint, encoded outcome)


class BatchDecider:
    """Decides batches.

    Args:
        resources: by kind.
        tables: all that the store knows.
        bare_clock: see `Guard.bare_clock`.
    """

    def __init__(self, resources: Mapping[str, Resource], tables: KnownTables, bare_clock: bool = False) -> None:
        self._resources = resources
        self._tables = tables
        self._bare_clock = bare_clock
        # of a table that children are read from too, the resource whose rows are locked
        children_first = sorted(resources.values(), key=lambda each: not each.many)
        self._by_table = {resource.table.name: resource for resource in children_first}

    def decide(self, commands: Sequence[Command], rows: dict[Key, Row], recorded: Recorded) -> WriteSet:
        """Decide the commands in order; each one sees what the earlier ones changed.

        Args:
            commands: the batch.
            rows: every loaded row, and a Row without state for every key that has none; updated in place.
            recorded: the request ids of the batch that were carried out before.

        Raises:
            Unfit: a command decided something that cannot be written.
        """
        write_set = WriteSet()
        # The closure does not hold the write set: a reference cycle would keep every batch until the next collection.
        write_set.decide_again = lambda true: self.decide(commands, {**rows, **true}, recorded)
        seen: dict[str, tuple[str, Answer]] = {}
        single = len(commands) == 1
        try:
            for command in commands:
                answer = self._replay(command, recorded, seen, write_set)
                if answer is None and not write_set.inserted_keys.isdisjoint(command.keys):
                    # One statement cannot insert and change the same row: the command needs the next transaction.
                    answer = NEXT_TRANSACTION
                elif answer is None:
                    answer = self._decide_one(command, rows, write_set, single)
                    seen[command.request_id] = (command.fingerprint, answer)
                write_set.answers.append(answer)
            add_change_events(write_set, self._resources)
            check_json(write_set.json_values)
            self._tables.check_inserts(write_set.inserts)
            self._tables.check_overwrites(write_set.overwrites)
        except Unfit as error:
            raise Unfit(f"{commands[0].name if single else 'a batch'} {error}") from None
        return write_set

    def _replay(
        self, command: Command, recorded: Recorded, seen: Mapping[str, tuple[str, Answer]], write_set: WriteSet
    ) -> Answer | None:
        """The recorded answer to a request id, from the table or from earlier in this batch; None: it is new."""
        request_id = command.request_id
        if request_id in recorded:
            fingerprint, blob = recorded[request_id]
            answer: Answer = decode_outcome(blob)
        elif request_id in seen:
            fingerprint, answer = seen[request_id]
            if isinstance(answer, tuple):
                answer = answer._replace(replayed=True)
            elif fingerprint != command.fingerprint:
                # The earlier command claims no id, so only its own transaction will show which of the two came first.
                return NEXT_TRANSACTION
        else:
            return None
        if fingerprint != command.fingerprint:
            return IdempotencyKeyReused("this request id was used before with another content; take a new one")
        write_set.replays += 1
        return answer

    def _decide_one(self, command: Command, rows: dict[Key, Row], write_set: WriteSet, single: bool) -> Answer:
        try:
            decision: object = command.decide(rows)
            if not isinstance(decision, Decision):
                return TypeError(f"{command.name} decided {decision!r:.100}, which must be a Decision")
            if decision.need_keys:
                missing = tuple(key for key in decision.need_keys if key not in rows)
                if missing:
                    return keys_problem(command.name, missing, self._resources) or MissingKeys(missing)
            outcome = decision.outcome
            if outcome is None:
                return ValueError(f"{command.name} decided nothing: neither an outcome nor keys that it lacks")
            changes = outcome_problem(outcome) or self._check_changes(command, decision.changes, rows, single)
        except Exception as error:  # noqa: BLE001 - `decide` is total by contract; a broken one must not fail its neighbours
            return decide_problem(command.name, error)
        if isinstance(changes, str):
            return ValueError(f"{command.name} {changes}")
        if outcome.accepted:
            versions = self._apply(command, changes, len(decision.events), rows, write_set)
            self._add_records(command, decision, write_set)
        else:
            versions = _versions_seen(command.keys, rows)
            self._add_inserts(command, decision.inserts, write_set)
        add_command_events(command, decision.events, write_set)
        if isinstance(outcome, Accepted):
            outcome = Accepted(outcome.data, versions)
        else:
            outcome = Rejected(outcome.code, outcome.data, versions)
        wrote = bool(decision.events) or any(not each.replace for each in decision.inserts)
        write_set.json_values.append(outcome.data)
        write_set.requests.append(
            {
                "id": command.request_id,
                "fingerprint": command.fingerprint,
                "outcome": encoded(partial(encode_outcome, wrote=wrote), outcome),
                "created_ms": command.now_ms,
            }
        )
        return outcome

    def _check_changes(
        self, command: Command, changes: Mapping[Key, Change], rows: Rows, single: bool
    ) -> list[CheckedChange] | str:
        """The changes with the counters they lead to, or what is wrong with them.

        The sums of the ledger must stay equal to the rows, so a change that misstates its difference is refused.
        """
        named: Container[Key] = rows  # a batch has also loaded the rows of the other commands
        if not single:
            named = command.keys if len(command.keys) <= FEW_KEYS else frozenset(command.keys)
        checked = []
        for key, change in changes.items():
            row = rows.get(key)
            if key not in named and not single:
                named = _named_and_needed(command, rows)
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
            checked.append((row, change, amount_after, held_after))
        return checked

    def _apply(
        self,
        command: Command,
        changes: Sequence[CheckedChange],
        event_count: int,
        rows: dict[Key, Row],
        write_set: WriteSet,
    ) -> dict[str, int]:
        """Give each changed row its next version and its ledger entry; the new versions by row name."""
        versions: dict[str, int] = {}
        request_id, now_ms = command.request_id, command.now_ms
        for row, (state, delta, held, note, ref), amount_after, held_after in changes:
            key, _, version, stamp = row
            version += 1
            stamp = now_ms if self._bare_clock or now_ms > stamp else stamp + 1
            after = rows[key] = Row(key, state, version, stamp)
            update = write_set.updates.get(key)
            if update is None:
                update = write_set.updates[key] = RowUpdate(row, after)
            update.after = after
            update.delta += delta
            update.held += held
            update.count += 1
            update.last_command, update.event_count = command, event_count
            update.only_counters = update.only_counters and _only_counters(self._resources[key.kind], row.state, state)
            kind, row_id = key
            versions[f"{kind}:{row_id}"] = version
            write_set.ledger.append(
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

    def _add_records(self, command: Command, decision: Decision, write_set: WriteSet) -> None:
        self._add_inserts(command, decision.inserts, write_set)
        for delete in decision.deletes:
            write_set.overwrites.append(Overwrite(delete.table, delete.values, False))

    def _add_inserts(self, command: Command, inserts: Iterable[Insert], write_set: WriteSet) -> None:
        for insert in inserts:
            if insert.replace:
                write_set.overwrites.append(Overwrite(insert.table, insert.values, True))
                continue
            values = insert.values
            if insert.table in self._tables.versioned:
                values = {**values, "version": 1, "stamp": command.now_ms}
            write_set.inserts.setdefault(insert.table, []).append(values)
            resource = self._by_table.get(insert.table)
            if resource is not None and resource.parent in values:  # a record without it is refused by `check_inserts`
                write_set.inserted_keys.add((resource.kind, values[resource.parent]))


def _named_and_needed(command: Command, rows: Rows) -> frozenset[Key]:
    """The keys that a command names, and those that it would ask for if the batch had loaded only its own rows.

    A cancellation whose stock row another command has loaded does not ask for it, but may change it.
    """
    keys = frozenset(command.keys)
    try:
        for _ in range(MAX_EXTRA_KEY_ROUNDS):
            decision = command.decide({key: rows[key] for key in keys if key in rows})
            if keys.issuperset(decision.need_keys):
                break
            keys = keys.union(decision.need_keys)
    except Exception:  # noqa: BLE001 - without the others' rows it fails instead of asking, so it may not have them
        return keys
    return keys


def _only_counters(resource: Resource, before: Any, after: Any) -> bool:
    """Whether nothing but the counters differs, so that a conditional UPDATE may move them."""
    if before is None or not resource.counters:
        return False
    return bool(resource.others(before) == resource.others(after))


def _versions_seen(keys: Iterable[Key], rows: Rows) -> dict[str, int]:
    return {f"{key.kind}:{key.id}": rows[key].version for key in keys if key in rows}
