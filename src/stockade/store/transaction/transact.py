"""`SqlStore.transact`: the only transaction in the system.

claim the request ids, load the rows, decide, save under the guard, ledger, outbox, commit. A request id is claimed by
inserting it together with its outcome, so a known one costs a second pass and an unknown one no statement at all
(docs/adr/0003). Neighbours: `load`, `fold` and `save` do the three steps, `database` runs them,
`failed_attempt` says what comes after an error.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection
from sqlalchemy.util import await_only

from stockade.core import (
    Accepted,
    Busy,
    Command,
    Conflict,
    FenceRefused,
    Guard,
    GuardKind,
    Key,
    MoreKeys,
    NotSupported,
    OffsetCommit,
    Rejected,
    Row,
    StaleOffset,
    Stats,
    merged_keys,
)
from stockade.store.consumer_offsets import move_offsets
from stockade.store.engine.database import Database
from stockade.store.schema.known_tables import KnownTables
from stockade.store.schema.resource import Resource, by_kind
from stockade.store.schema.tables import metadata
from stockade.store.transaction.attempt import Pending, Source
from stockade.store.transaction.decide import MAX_NEEDS, Answer, Batch, Folder, Needs
from stockade.store.transaction.failed_attempt import FailedAttempts, Next
from stockade.store.transaction.load import known_requests, load_rows
from stockade.store.transaction.save import RowChanged, Saver, Unopened
from stockade.store.transaction.single_statement.duplicate_lookup import Repeats
from stockade.store.transaction.single_statement.executor import AtOnce, last_rows
from stockade.store.transaction.single_statement.speculation import Ahead, Forecast, landed
from stockade.store.transaction.wrong_use import problems

READS_APART = frozenset({GuardKind.NONE, GuardKind.VERSION, GuardKind.TIMESTAMP, GuardKind.DELTA})

Result = Accepted | Rejected | Exception


class SqlStore:
    """The store over any SQL database.

    Args:
        database: an open Database.
        resources: what each kind of key means.
        checkpoint: called with a name before (`begin`) and inside each transaction (`loaded`, `saved`); a fault point
            for tests and the lab, so that kills and pauses can be aimed.
    """

    def __init__(
        self,
        database: Database,
        resources: Sequence[Resource],
        checkpoint: Callable[[str], None] | None = None,
    ) -> None:
        self.database = database
        self.stats = Stats()
        self._resources: Mapping[str, Resource] = by_kind(resources)
        own = [each.table.metadata for each in resources if each.table.metadata is not metadata]
        everywhere = [metadata, *dict.fromkeys(own)]
        self._tables = KnownTables(everywhere, resources)
        self._saver = Saver(database.dialect, self._resources, everywhere)
        self._checkpoint = checkpoint
        self._forecast = Forecast()
        self._repeats = Repeats(database.dialect)
        self._failed = FailedAttempts(self.stats, self._repeats)
        self._in_flight: set[str] = set()  # request ids of batches that have not ended
        at_once = AtOnce(database, self._resources, self._saver, self._forecast, self._repeats)
        self._at_once = None if checkpoint else at_once  # a checkpoint is between two statements

    @property
    def supports_pipelining(self) -> bool:
        """See `stockade.core.Store.supports_pipelining`."""
        return self.database.dialect.suspends

    def supports(self, kind: GuardKind) -> bool:
        """Whether this database can carry out the guard."""
        return kind not in self.database.dialect.unsupported

    async def transact(
        self,
        commands: Sequence[Command],
        guard: Guard,
        *,
        deadline: float,
        offsets: Sequence[OffsetCommit] = (),
        on_decided: Callable[[], None] | None = None,
    ) -> list[Result]:
        """See `stockade.core.Store.transact`."""
        if not self.supports(guard.kind):
            text = f"{self.database.dialect.name} has no guard {guard.kind.value!r}"
            return [NotSupported(text) for _ in commands]
        wrong = problems(commands, self._resources)
        if wrong:
            rest = [each for n, each in enumerate(commands) if n not in wrong]
            # compared, so that a stale reader still writes nothing, and not moved, because not every command is decided
            held = [each._replace(new=each.old) for each in offsets]
            right = self.transact(rest, guard, deadline=deadline, offsets=held, on_decided=on_decided) if rest else None
            answers = iter(await right if right is not None else ())
            return [wrong[n] if n in wrong else next(answers) for n in range(len(commands))]
        self.stats.commands += len(commands)
        # A batch looks its ids up (but see `repeats`): a repeated request must not make its neighbours run twice.
        source = Source(tuple(offsets)) if offsets else None
        pending = Pending(list(commands), look_up=len(commands) > 1, source=source, on_decided=on_decided)
        results: list[Result] = []
        for command, first in zip(commands, await self._fly(pending, guard, deadline), strict=True):
            if isinstance(first, Needs):
                more = MoreKeys(first.keys)
                results.append(
                    more
                    if guard.fail_on_extra_keys
                    else await self._with_needs(command, first, source, guard, deadline)
                )
            else:
                results.append(first)
        if source is not None:
            results = await self._close(source, results, deadline)
        self.stats.replays += sum(1 for each in results if isinstance(each, tuple) and each.replayed)
        return results

    async def _close(self, source: Source, results: list[Result], deadline: float) -> list[Result]:
        """Move the positions of a batch that took several transactions, once every command has its outcome."""
        stale = next((each for each in results if isinstance(each, StaleOffset)), None)
        if stale is None and not source.moved and not any(isinstance(each, Exception) for each in results):
            try:
                await self.database.transaction(lambda c: move_offsets(c, source.offsets, move=True), deadline=deadline)
            except Exception as error:  # noqa: BLE001 - the outcomes stand; that the positions do not is the answer
                return [error for _ in results]
        return results if stale is None else [stale for _ in results]

    async def _fly(self, pending: Pending, guard: Guard, deadline: float) -> list[Answer]:
        """`_settle`, with the batch's request ids noted: an id that is in flight twice has to be looked up late."""
        ids = {command.request_id for command in pending.commands}
        pending.early = ids.isdisjoint(self._in_flight)
        own = ids - self._in_flight
        self._in_flight |= own
        try:
            return await self._settle(pending, guard, deadline)
        finally:
            self._in_flight -= own
            self._forecast.land(pending.flight)

    async def _settle(self, pending: Pending, guard: Guard, deadline: float) -> list[Answer]:
        """Attempt the batch until it has answers or the deadline is over."""
        while True:
            try:
                await self._open(pending, deadline)
                return await self._attempt(pending, guard, deadline)
            except Unopened as error:
                # a known request id changes nothing, so look the ids up before anything is opened for them
                pending.to_open = tuple(error.keys) if pending.look_up and not pending.early else ()
                pending.look_up, pending.early = True, False
            except (FenceRefused, NotSupported, StaleOffset) as error:
                return pending.give_up(error)
            except RowChanged as error:
                self.stats.conflicts += 1
                if not pending.uncertain:  # else an earlier commit may still arrive: only a claim can tell
                    return [Conflict(str(error)) for _ in pending.commands]
            except Busy as error:
                self.stats.lock_timeouts += 1
                return pending.give_up(error)
            except Exception as error:  # noqa: BLE001 - told apart there, returned to its command
                found = await self._failed.weigh(error, pending, deadline)
                if found is Next.ONE_BY_ONE:
                    return await self._one_by_one(pending, guard, deadline)
                if not isinstance(found, Next):
                    return found

    async def _open(self, pending: Pending, deadline: float) -> None:
        """Open rows that the batch is going to change, in a transaction of its own.

        It is committed whatever becomes of the batch, so no later inserter can meet the remains of a rollback (InnoDB
        answers that with a deadlock).
        """
        if pending.to_open:
            keys, pending.to_open = pending.to_open, ()
            await self.database.transaction(lambda c: self._saver.open(c, keys), deadline=deadline)

    async def _one_by_one(self, pending: Pending, guard: Guard, deadline: float) -> list[Answer]:
        """One bad command never fails its neighbours."""
        answers: list[Answer] = []
        for command in pending.commands:
            # in the batch's own place: it must not wait for the batch to end
            single = Pending([command], look_up=True, source=pending.source, whole=False, flight=pending.flight)
            single.uncertain = pending.uncertain
            answers.extend(await self._settle(single, guard, deadline))
        return answers

    async def _with_needs(
        self, command: Command, answer: Answer, source: Source | None, guard: Guard, deadline: float
    ) -> Result:
        """Run a command again that asked for more rows, alone, with all the rows it named."""
        extra: tuple[Key, ...] = ()
        for _ in range(MAX_NEEDS):
            if not isinstance(answer, Needs):
                return answer
            extra = (*extra, *answer.keys)
            alone = Pending([command], extra, source=source, whole=False)
            answer = (await self._settle(alone, guard, deadline))[0]
        if isinstance(answer, Needs):
            return ValueError(f"{command.name} asked for more rows more than {MAX_NEEDS} times")
        return answer

    async def _attempt(self, pending: Pending, guard: Guard, deadline: float) -> list[Answer]:
        """One transaction (two where reads stand apart)."""
        self.stats.transactions += 1
        if self._checkpoint:
            self._checkpoint("begin")
        database, folder = self.database, Folder(self._resources, self._tables, guard.bare_clock)
        if self._at_once and self._at_once.may(pending, guard, deadline):
            written = await self._at_once.attempt(
                pending, lambda rows, known: folder.fold(pending.commands, rows, known), deadline
            )
            if written is not None:
                self.stats.foreseen += 1
                return self._committed(pending, written)
        if guard.kind is GuardKind.ROW and self._forecast.in_flight:
            last = last_rows(merged_keys(pending.commands, pending.extra))
            await landed(self._forecast.ahead_of(pending.flight, last), deadline)
        if database.dialect.reads_apart and guard.kind in READS_APART:
            async with database.turn(deadline):
                left_s = max(0.001, deadline - time.monotonic())
                rows_known = await database.read(lambda c: self._load(c, pending, guard), timeout_s=left_s)
                batch = folder.fold(pending.commands, *rows_known)
                self._check_opened(batch)
                if not batch.requests and pending.source is None:
                    return batch.answers
                batch = await database.transaction(lambda c: self._write(c, batch, pending, guard), deadline=deadline)
        else:

            def body(connection: Connection) -> Batch:
                batch = self._decide(connection, folder, pending, guard)
                if not batch.written:
                    self._check_opened(batch)
                    if not batch.replaces:
                        pending.tell_decided()
                return self._write(connection, batch, pending, guard)

            isolation = "SERIALIZABLE" if guard.kind is GuardKind.SERIALIZABLE else None
            advisory = self._advisory(pending) if guard.kind is GuardKind.ADVISORY else ()
            batch = await database.transaction(body, deadline=deadline, isolation=isolation, advisory=advisory)
        return self._committed(pending, batch)

    def _committed(self, pending: Pending, batch: Batch) -> list[Answer]:
        self.stats.commits += 1
        if pending.source is not None and pending.may_move(batch.answers):
            pending.source.moved = True
        return batch.answers

    def _decide(self, connection: Connection, folder: Folder, pending: Pending, guard: Guard) -> Batch:
        """Load and decide; before the last rows are held, where others can use the time."""
        commands = pending.commands
        if not self.supports_pipelining or guard.kind is not GuardKind.ROW:
            return folder.fold(commands, *self._load(connection, pending, guard))
        early: dict[str, tuple[str, bytes]] = {}
        turns: list[asyncio.Lock] = []
        ahead = Ahead(self._forecast, lambda rows: folder.fold(commands, rows, early))

        def without_last(held: Mapping[Key, Row], missing: Sequence[Key]) -> bool:
            expected = None
            if pending.early:
                if pending.look_up or self._forecast.rows(missing) is not None:
                    early.update(self._repeats.known(connection, commands))
                expected = ahead.begin(held, missing)
            for turn in self._forecast.turns(missing):
                await_only(turn.acquire())
                turns.append(turn)
            return expected is not None and self._write_ahead(connection, ahead.batch, pending, expected)

        try:
            rows, known = self._load(connection, pending, guard, without_last)
        finally:
            for turn in turns:
                turn.release()
        if ahead.batch is not None and ahead.batch.written:
            self.stats.foreseen += 1
            return ahead.batch
        batch = ahead.end(rows)
        if batch is None:
            batch = folder.fold(commands, rows, early or known)
            self._forecast.note(batch)
        else:
            self.stats.foreseen += 1
        return batch

    def _write_ahead(
        self, connection: Connection, batch: Batch | None, pending: Pending, expected: Mapping[Key, Row]
    ) -> bool:
        """Write the batch in the statement that locks its hot row, if there is one such row and it is as expected."""
        if batch is None or self._saver.unopened(batch):
            return False
        if not batch.replaces:
            pending.tell_decided()
        if len(expected) == 1 and self.database.dialect.gates:
            (hot,) = expected.values()
            batch.written = bool(self._saver.save_ahead(connection, batch, hot))
        return batch.written

    def _check_opened(self, batch: Batch) -> None:
        if keys := self._saver.unopened(batch):
            raise Unopened(keys)

    @staticmethod
    def _advisory(pending: Pending) -> list[str]:
        keys = {key for command in pending.commands for key in command.keys} | set(pending.extra)
        return sorted(str(key) for key in keys)

    def _load(
        self,
        connection: Connection,
        pending: Pending,
        guard: Guard,
        without_last: Callable[[Mapping[Key, Row], Sequence[Key]], bool] | None = None,
    ) -> tuple[dict[Key, Row], dict[str, tuple[str, bytes]]]:
        rows = load_rows(
            connection,
            self.database.dialect,
            self._resources,
            commands=pending.commands,
            extra=pending.extra,
            guard=guard,
            without_last=without_last,
        )
        # Looked up after the rows are locked: a repeated request waited there for the first one's commit.
        late = pending.look_up and not (pending.early and without_last)
        known = known_requests(connection, self.database.dialect, pending.commands) if late else {}
        if self._checkpoint:
            self._checkpoint("loaded")
        return rows, known

    def _write(self, connection: Connection, batch: Batch, pending: Pending, guard: Guard) -> Batch:
        if pending.source is not None:
            move_offsets(connection, pending.source.offsets, move=pending.may_move(batch.answers))
        return self._save(connection, batch, guard)

    def _save(self, connection: Connection, batch: Batch, guard: Guard) -> Batch:
        if batch.requests and not batch.written:
            batch = self._saver.save(connection, batch, guard)
        if self._checkpoint:
            self._checkpoint("saved")
        return batch
