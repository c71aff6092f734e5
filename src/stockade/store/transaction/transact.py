"""`SqlStore.transact`: the only place where commands are decided and written.

It chooses an executor for each attempt and repeats the attempt until every command has its answer. A request id is
claimed by inserting it together with its outcome, so a new one costs no statement and a recorded one a second attempt
(docs/adr/0003). Neighbours: `one_transaction`, `optimistic` and `single_statement` carry out an attempt;
`pending_batch` is the batch and its state, `retry` decides what follows an error.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext

from stockade.core import (
    Busy,
    Command,
    CommandResult,
    Guard,
    GuardKind,
    Key,
    MoreKeys,
    NotSupported,
    OffsetCommit,
    StaleOffset,
    Stats,
)
from stockade.core.decision import MAX_EXTRA_KEY_ROUNDS
from stockade.drivers.failures import describe, missing_table
from stockade.store.consumer_offsets import move_offsets
from stockade.store.engine.database import Database
from stockade.store.schema.known_tables import known_tables
from stockade.store.schema.resource import Resource, by_kind
from stockade.store.transaction.one_transaction import OneTransactionExecutor
from stockade.store.transaction.optimistic import OPTIMISTIC, OptimisticExecutor
from stockade.store.transaction.pending_batch import BatchState, ConsumedOffsets, PendingBatch
from stockade.store.transaction.retry import MAX_ATTEMPTS, Retry
from stockade.store.transaction.save import Saver
from stockade.store.transaction.single_statement.executor import SingleStatement
from stockade.store.transaction.steps import Steps, WritePermit
from stockade.store.transaction.validation import problems
from stockade.store.transaction.write_set import Answer, MissingKeys, WriteSet


class SqlStore:
    """The store over any SQL database.

    Args:
        database: an open Database.
        resources: what each kind of key means.
        checkpoint: called with a name before (`begin`), inside (`loaded`, `saved`) and after each transaction
            (`committed`, before its answers are known); a fault point for tests and the lab, so that kills and pauses
            can be aimed. It switches `single_statement` off, because one statement has no point between its steps.
        permit: confirmed before every batch; None: this process may always write.
        single_statement: whether PostgreSQL may carry out a batch as one statement (docs/single-statement.md).

    Raises:
        ValueError: two resources have one kind or one table.
    """

    def __init__(
        self,
        database: Database,
        resources: Sequence[Resource],
        checkpoint: Callable[[str], None] | None = None,
        *,
        permit: WritePermit | None = None,
        single_statement: bool = True,
    ) -> None:
        self.database = database
        self.stats = Stats()
        self._resources: Mapping[str, Resource] = by_kind(resources)
        self._tables = known_tables(resources, database.tables)
        self._saver = Saver(database.dialect, self._resources, database.tables, self._tables)
        self._permit = permit
        self._steps = Steps(database, self._resources, self._tables, self._saver, permit, checkpoint)
        use = single_statement and checkpoint is None and database.dialect.supports_single_statement
        self._single_statement = SingleStatement(self._steps) if use else None
        self._one_transaction = OneTransactionExecutor(self._steps, self._single_statement)
        self._optimistic = OptimisticExecutor(self._steps)
        self._retry = Retry(self.stats)

    @property
    def supports_pipelining(self) -> bool:
        """See `stockade.core.Store.supports_pipelining`."""
        return self.database.dialect.is_async

    @property
    def unsettled(self) -> bool:
        """See `stockade.core.Store.unsettled`."""
        return self.database.unsettled

    async def settle(self) -> None:
        """See `stockade.core.Store.settle`."""
        await self.database.settle()

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
    ) -> list[CommandResult]:
        """See `stockade.core.Store.transact`."""
        if self._permit is not None:
            try:
                await self._permit.confirm(deadline)
            except Busy as error:
                return [error for _ in commands]
        if not self.supports(guard.kind):
            text = f"{self.database.dialect.name} has no guard {guard.kind.value!r}"
            return [NotSupported(text) for _ in commands]
        wrong = problems(commands, self._resources)
        if not wrong:
            return await self._transact(commands, guard, deadline, offsets, on_decided)
        right = [each for n, each in enumerate(commands) if n not in wrong]
        # The offsets are compared, so a stale reader writes nothing; they stay, because not every command is decided.
        kept = [each._replace(new=each.old) for each in offsets]
        results = iter(await self._transact(right, guard, deadline, kept, on_decided) if right else ())
        return [wrong[n] if n in wrong else next(results) for n in range(len(commands))]

    async def _transact(
        self,
        commands: Sequence[Command],
        guard: Guard,
        deadline: float,
        offsets: Sequence[OffsetCommit],
        on_decided: Callable[[], None] | None,
    ) -> list[CommandResult]:
        """Carry out commands that can be loaded; those that need more rows run again, one after the other."""
        self.stats.commands += len(commands)
        consumed = ConsumedOffsets(tuple(offsets)) if offsets else None
        # SQLite's bodies run in a thread, where a callback for the event loop must not be called.
        callback = on_decided if self.supports_pipelining else None
        batch = PendingBatch(list(commands), offsets=consumed, on_decided=callback)
        with self._single_statement.tracking(batch) if self._single_statement else nullcontext():
            answers = await self._carry_out(batch, guard, deadline)
        results = [
            await self._with_extra_keys(command, answer, consumed, guard, deadline)
            for command, answer in zip(commands, answers, strict=True)
        ]
        if consumed is not None and not consumed.committed:
            results = await self._commit_offsets(consumed, results, deadline)
        self.stats.replays += sum(1 for each in results if isinstance(each, tuple) and each.replayed)
        return results

    async def _carry_out(self, batch: PendingBatch, guard: Guard, deadline: float) -> list[Answer]:
        """Attempt a batch until it has its answers; an attempt after the deadline ends as Busy."""
        for _ in range(MAX_ATTEMPTS):
            try:
                await self._ensure_rows(batch, deadline)
                write_set = await self._attempt(batch, guard, deadline)
                self._committed(batch, write_set)
            except Exception as error:  # noqa: BLE001 - classified there, and returned to its command
                await self._retry.resolve(self._explained(error), batch, deadline)
            if batch.state is BatchState.SPLIT:
                batch.answer([(await self._carry_out(part, guard, deadline))[0] for part in batch.parts])
            if batch.state is BatchState.ANSWERED:
                return batch.answers
        batch.give_up(Busy(f"not carried out in {MAX_ATTEMPTS} attempts"))
        return batch.answers

    def _explained(self, error: Exception) -> Exception:
        """The error; if it says that the table of a resource is missing, one that says what to do."""
        name = missing_table(error)
        for kind, resource in self._resources.items():
            if resource.table.name == name:
                return NotSupported(
                    f"the table {resource.table.fullname} of the resource {kind!r} is not in this database: make it by"
                    f" your own migrations first ({describe(error)})"
                )
        return error

    async def _ensure_rows(self, batch: PendingBatch, deadline: float) -> None:
        """Insert rows that the batch is going to change, in a transaction of their own.

        They stay whatever becomes of the batch. After a rollback InnoDB would answer the next insert with a deadlock.
        """
        if batch.missing_rows:
            keys, batch.missing_rows = batch.missing_rows, ()
            await self.database.transaction(lambda c: self._saver.ensure_rows(c, keys), deadline=deadline)

    async def _attempt(self, batch: PendingBatch, guard: Guard, deadline: float) -> WriteSet:
        """Choose the executor of one attempt, and run it."""
        self.stats.transactions += 1
        self._steps.reach("begin")
        if guard.kind in OPTIMISTIC:
            return await self._optimistic.run(batch, guard, deadline)
        if guard.kind is GuardKind.ROW and not guard.nowait and self._single_statement is not None:
            write_set = await self._single_statement.run(batch, guard, deadline)
            if write_set is not None:
                self.stats.foreseen += 1
                return write_set
        return await self._one_transaction.run(batch, guard, deadline)

    def _committed(self, batch: PendingBatch, write_set: WriteSet) -> None:
        self._steps.reach("committed")
        self.stats.commits += 1
        if batch.offsets is not None and batch.may_commit_offsets(write_set.answers):
            batch.offsets.committed = True
        batch.answer(write_set.answers)

    async def _with_extra_keys(
        self, command: Command, answer: Answer, offsets: ConsumedOffsets | None, guard: Guard, deadline: float
    ) -> CommandResult:
        """Run a command that needs more rows again, alone, with all the rows that it needs."""
        extra: tuple[Key, ...] = ()
        for _ in range(MAX_EXTRA_KEY_ROUNDS):
            if not isinstance(answer, MissingKeys):
                return answer
            if guard.fail_on_extra_keys:
                return MoreKeys(answer.keys)
            extra = (*extra, *answer.keys)
            batch = PendingBatch([command], extra, offsets, is_whole_call=False)
            (answer,) = await self._carry_out(batch, guard, deadline)
        if isinstance(answer, MissingKeys):
            return ValueError(f"{command.name} asked for more rows more than {MAX_EXTRA_KEY_ROUNDS} times")
        return answer

    async def _commit_offsets(
        self, offsets: ConsumedOffsets, results: list[CommandResult], deadline: float
    ) -> list[CommandResult]:
        """Move the offsets of a batch that took several transactions, once every command has its outcome."""
        stale = next((each for each in results if isinstance(each, StaleOffset)), None)
        if stale is not None:
            return [stale for _ in results]
        if any(isinstance(each, Exception) for each in results):
            return results
        try:
            await self.database.transaction(
                lambda c: move_offsets(c, self.database.tables, offsets.commits, move=True), deadline=deadline
            )
        except Exception as error:  # noqa: BLE001 - the outcomes stand; that the offsets do not is the answer
            return [error for _ in results]
        return results
