"""Mutants of the strategies and of the store, each played in the simulator."""

import time
from dataclasses import replace

from stockade.core import Busy, Guard, GuardKind
from stockade.lab.simulation.settings import OPTIONS, STORMS
from stockade.locks import LockError
from stockade.store.transaction import load, optimistic, steps
from stockade.store.transaction.save import Saver
from stockade.store.transaction.steps import Steps
from stockade.store.transaction.transact import SqlStore
from stockade.strategies import sequencer
from stockade.strategies.lock_based import LockBased
from stockade.strategies.pessimistic import Pessimistic
from tests.lab.mutants.mutant import CALLS_END, NO_DEADLOCK, Mutant, settings

BARE = "redis-pubsub:bare"
PLACED_ONLY = {"later_steps": 0.0}  # a bare lock covers only the rows that a command names itself


def fence_at_the_write(patch):
    """Tokens are installed when the rows are written, not before they are read; nothing else is compared."""
    patch.setattr(steps, "install_fences", lambda *arguments: None)
    save = Saver.save

    def late(self, connection, write_set, guard):
        if guard.kind is GuardKind.FENCE:
            load.install_fences(connection, self._dialect, self._resources, guard)
            guard = Guard.NONE
        return save(self, connection, write_set, guard)

    patch.setattr(Saver, "save", late)


def unlock_before_commit(patch):
    """The lock is released before the transaction that it should cover."""

    async def under_locks(self, locks, command, deadline):
        lease = await self._acquire(locks, command, deadline)
        await self._release(lease, deadline)
        return await self.transact_with_retries(command, self.guard, deadline)

    patch.setattr(LockBased, "_under_locks", under_locks)


def timeout_as_success(patch):
    """A lock that did not come in time counts as held (the aspect of the Java project returns false, unseen)."""
    under_locks = LockBased._under_locks

    async def anyway(self, locks, command, deadline):
        try:
            return await under_locks(self, locks, command, deadline)
        except Busy:
            return await self.transact_one(command, self.guard, time.monotonic() + self.options.wait_s)

    patch.setattr(LockBased, "_under_locks", anyway)


def unsorted_keys(patch):
    """Rows are locked in the order in which the commands name them."""

    def as_named(commands, extra=()):
        return list(dict.fromkeys([*(key for command in commands for key in command.keys), *extra]))

    def in_that_order(connection, dialect, resources, keys, *, lock, nowait=False):
        rows = {}
        for key in keys:
            rows.update(load.load_rows(connection, dialect, resources, [key], lock=lock, nowait=nowait))
        return rows

    patch.setattr(steps, "merged_keys", as_named)
    patch.setattr(steps, "load_rows", in_that_order)


def no_request_id(patch):
    """Nobody looks whether a request id is recorded, so a repeated request is a new one."""
    inserts, loaded = Saver._inserts, Steps.load
    recorded = set()

    def once(self, write_set):
        found = inserts(self, write_set)
        new = [each for each in write_set.requests if each["id"] not in recorded]
        recorded.update([each["id"] for each in new])
        return {table: rows for table, rows in {**found, self._own.requests: new}.items() if rows}

    patch.setattr(Saver, "_inserts", once)
    patch.setattr(Steps, "load", lambda self, connection, batch, guard: (loaded(self, connection, batch, guard)[0], {}))


def _written_later(patch, name):
    """The records of one table are written in a transaction of their own, after the commit."""
    inserts, attempt = Saver._inserts, SqlStore._attempt

    def without(self, write_set):
        table = getattr(self._own, name)
        return {each: rows for each, rows in inserts(self, write_set).items() if each is not table}

    async def then(self, batch, guard, deadline):
        write_set = await attempt(self, batch, guard, deadline)
        table, records = getattr(self.database.tables, name), getattr(write_set, name)
        if records:
            await self.database.transaction(
                lambda c: self.database.dialect.insert_all(c, {table: records}), deadline=deadline
            )
        return write_set

    patch.setattr(Saver, "_inserts", without)
    patch.setattr(SqlStore, "_attempt", then)


def swallowed_exception(patch):
    """An exception of a batch is not given to the callers."""
    answer_one = sequencer._answer_one

    def swallow(queued, answer, deadline, again):
        if not isinstance(answer, Exception):
            answer_one(queued, answer, deadline, again)

    patch.setattr(sequencer, "_answer_one", swallow)


def equal_events_are_one(patch):
    """An event is found by what it says, so a second equal one counts as the first."""
    inserts = Saver._inserts
    known = set()

    def without(self, write_set):
        found = inserts(self, write_set)
        events = found.get(self._own.outbox, ())
        new = [each for each in events if (each["kind"], each["key"]) not in known]
        known.update([(each["kind"], each["key"]) for each in new])
        return {**found, self._own.outbox: new} if events else found

    patch.setattr(Saver, "_inserts", without)


def rows_read_before_the_lock(patch):
    """The rows come from a session that was opened before the lock was held."""
    under_locks, loaded = LockBased._under_locks, Steps.load
    read = {}

    async def early(self, locks, command, deadline):
        database, dialect, resources = self.store.database, self.store.database.dialect, self.store._resources
        read[command.request_id] = await database.read(
            lambda c: load.load_rows(c, dialect, resources, sorted(command.keys), lock=False)
        )
        return await under_locks(self, locks, command, deadline)

    def from_the_session(self, connection, batch, guard):
        rows, recorded = loaded(self, connection, batch, guard)
        for command in batch.commands:
            rows.update(read.pop(command.request_id, {}))
        return rows, recorded

    patch.setattr(LockBased, "_under_locks", early)
    patch.setattr(Steps, "load", from_the_session)


def release_error_after_the_commit(patch):
    """A release that finds its lease gone is an error of the caller, whose transaction has committed."""

    async def release(self, lease, deadline):
        try:
            await lease.release()
        except LockError as error:
            raise Busy(str(error)) from error

    patch.setattr(LockBased, "_release", release)


def refusal_as_server_error(patch):
    """A refusal by the rules leaves as an exception that nobody has documented."""
    execute = Pessimistic.execute

    async def raising(self, command):
        outcome = await execute(self, command)
        if not outcome.accepted:
            raise RuntimeError(outcome.code)
        return outcome

    patch.setattr(Pessimistic, "execute", raising)


def refusals_not_confirmed(patch):
    """A refusal rests on rows of several kinds that were read one after the other, and only once."""
    patch.setattr(optimistic, "_rows_of_refusals", lambda batch, write_set, guard: ())


BUSY = replace(STORMS["lost replies"], database=replace(STORMS["lost replies"].database, lose_request=0.3))

MUTANTS = (
    Mutant(
        "unprotected",
        "the strategy that reads, decides and writes without any check",
        "version-chain",
        settings("unprotected"),
        control=settings("pessimistic"),
    ),
    Mutant(
        "in-process lock, two processes",
        "each process has a mutex of its own",
        "version-chain",
        settings("in-process"),
        control=settings("in-process", processes=1),
    ),
    Mutant(
        "bare lease under pauses",
        "nothing but a lease protects the row, and its holder is paused for longer",
        "version-chain",
        settings(BARE, "pauses", **PLACED_ONLY),
        control=settings(BARE, **PLACED_ONLY),
    ),
    Mutant(
        "fence checked only at the write",
        "the token is compared when the row is written, not before it is read",
        "version-chain",
        settings("redis-pubsub:fence", "pauses", **PLACED_ONLY),
        fence_at_the_write,
    ),
    Mutant(
        "unlock before commit",
        "the lock is released before its transaction",
        "version-chain",
        settings(BARE, **PLACED_ONLY),
        unlock_before_commit,
    ),
    Mutant(
        "lock timeout taken as success",
        "a lock that did not come in time counts as held",
        "version-chain",
        settings(BARE, **PLACED_ONLY, options=replace(OPTIONS, wait_s=0.01)),
        timeout_as_success,
    ),
    Mutant(
        "keys unsorted",
        "rows are locked in the order in which a command names them",
        NO_DEADLOCK,
        settings("pessimistic", **PLACED_ONLY),
        unsorted_keys,
    ),
    Mutant(
        "no request id",
        "nobody looks whether a request id is recorded",
        "exactly-once",
        settings("pessimistic", "duplicates"),
        no_request_id,
    ),
    Mutant(
        "request id in another transaction",
        "the outcome is recorded after the commit of what it decided",
        "exactly-once",
        settings("pessimistic", "everything"),
        lambda patch: _written_later(patch, "requests"),
    ),
    Mutant(
        "outbox outside the transaction",
        "events are written after the commit of their orders",
        "events",
        settings("pessimistic", "everything"),
        lambda patch: _written_later(patch, "outbox"),
    ),
    Mutant(
        "compensation in memory",
        "stock is taken in a transaction of its own, and what would undo it is only in memory",
        "version-chain",
        settings("pessimistic", "crashes"),
        lambda patch: _written_later(patch, "ledger"),
    ),
    Mutant(
        "refusal on rows of two moments",
        "the rows of a refusal are read one after the other, and not again",
        "serializable",
        settings("optimistic", operations=4),
        refusals_not_confirmed,
    ),
    Mutant(
        "events found by their content",
        "a second event that says the same counts as the first",
        "events",
        settings("pessimistic"),
        equal_events_are_one,
    ),
    Mutant(
        "session opened before the lock",
        "the rows were read before the lock was held",
        "version-chain",
        settings(BARE, **PLACED_ONLY),
        rows_read_before_the_lock,
    ),
    Mutant(
        "release error after the commit",
        "a lease that ran out is told as a failure when the order is committed",
        "exactly-once",
        settings("redis-pubsub", "pauses"),
        release_error_after_the_commit,
    ),
    Mutant(
        "refusal as a server error",
        "who is refused by the rules gets an error that nobody expects",
        "unexpected",
        settings("pessimistic"),
        refusal_as_server_error,
    ),
    Mutant(
        "batch exception swallowed",
        "what fails a batch is not given to its callers",
        CALLS_END,
        settings("sequencer", "lost replies", faults=BUSY, options=replace(OPTIONS, wait_s=0.1)),
        swallowed_exception,
    ),
)
