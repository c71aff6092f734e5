"""A simulated database server: sessions, row locks with their queues, snapshots, commits.

It behaves as PostgreSQL does under READ COMMITTED and, with a snapshot, as under SERIALIZABLE: there every record that
a transaction has read must still be the newest one at its commit (a stricter rule than PostgreSQL's). A writer waits
for the transaction that has the row, and then sees its result. A circle of waiting transactions is broken at once, at
the expense of the one that closed it. Source: PostgreSQL manual, 13.2 and 13.3.

A statement is a generator that yields the places that it has to wait for. So it runs on the server, whatever becomes of
the process that sent it. Neighbours: `tables.py`; `statements.py` has the statements; `connection.py` sends them.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from stockade.lab.simulation.database.tables import Place, PrimaryKey, Record, Schema, SimulatedTable
from stockade.lab.simulation.world import World

Statement: TypeAlias = Generator[Place, None, Any]
Answer: TypeAlias = Callable[[Any, BaseException | None], None]

FIRST_STATEMENT = -1
CONFLICT, DEADLOCK, TIMEOUT, DUPLICATE, CHECK, LOST = "40001", "40P01", "55P03", "23505", "23514", "08006"


class ServerError(Exception):
    """What the server answers instead of a result; `sqlstate` is the code of PostgreSQL.

    Attributes:
        sqlstate: five characters.
    """

    def __init__(self, sqlstate: str, text: str) -> None:
        super().__init__(text)
        self.sqlstate = sqlstate


@dataclass
class DatabaseFaults:
    """What happens to statements: probabilities from 0 to 1; times in seconds.

    Attributes:
        lose_request: the connection breaks before the server has the statement.
        lose_reply: the server carries it out, and the connection breaks before the reply.
        latency_s: the longest time of one statement without waits.
        slow: a statement stands in a slow link on its way to the server.
        slow_s: the longest time that it stands there.
    """

    lose_request: float = 0.0
    lose_reply: float = 0.0
    latency_s: float = 0.002
    slow: float = 0.0
    slow_s: float = 0.4


class Session:
    """One connection as the server sees it, with its open transaction.

    Attributes:
        lock_wait_s: the longest wait for one lock, in seconds.
        snapshot: the number of the commit that it reads at; None: always the newest; FIRST_STATEMENT: of the commit
            that will be the newest then.
    """

    def __init__(self, server: "DatabaseServer") -> None:
        self.server = server
        self.alive = True
        self.writes: dict[Place, Record | None] = {}
        self.held: list[Place] = []
        self.reads: set[Place] = set()
        self.waits_for: Place | None = None
        self.lock_wait_s = 5.0
        self.snapshot: int | None = None
        self.busy_until = 0.0  # statements of one connection arrive in order
        self._stop_waiting: Callable[[BaseException], None] | None = None

    # -- reading and writing, for statements ---------------------------------------------------------------

    def read(self, table: SimulatedTable, key: PrimaryKey) -> Record | None:
        """A record as this transaction sees it."""
        place = (table.name, key)
        if place in self.writes:
            return self.writes[place]
        if self.snapshot is None:
            return table.latest(key)
        self.reads.add(place)
        return table.at(key, self.snapshot)

    def newest(self, table: SimulatedTable, key: PrimaryKey) -> Record | None:
        """A record that this transaction has locked.

        Raises:
            ServerError: it has changed since the snapshot.
        """
        place = (table.name, key)
        if place in self.writes:
            return self.writes[place]
        if self.snapshot is not None and table.newest_commit(key) > self.snapshot:
            raise ServerError(CONFLICT, "could not serialize access due to concurrent update")
        return table.latest(key)

    def lock(self, place: Place) -> Statement:
        """Wait for a place; it is held until the transaction ends."""
        if self.server.owner(place) is not self:
            yield place

    def write(self, table: SimulatedTable, key: PrimaryKey, record: Record | None) -> None:
        """Change or delete a record that is locked.

        Raises:
            ServerError: a CHECK constraint is violated.
        """
        if record is not None and (broken := table.broken_check(record)):
            raise ServerError(CHECK, f"a record of {table.name} violates a check constraint: {broken}")
        self.writes[(table.name, key)] = record

    # -- the end -------------------------------------------------------------------------------------------

    def commit(self) -> Statement:
        """Make everything durable, and visible to others."""
        server = self.server
        if self.snapshot is not None and self.writes:
            for name, key in self.reads:
                if server.tables[name].newest_commit(key) > self.snapshot:
                    self.end()
                    raise ServerError(CONFLICT, "could not serialize access due to read/write dependencies")
        if self.writes:
            server.apply(self.writes)
        self.end()
        yield from ()  # it waits for nothing, and is a generator as every statement

    def roll_back(self) -> Statement:
        """Undo everything."""
        self.end()
        yield from ()  # as above

    def end(self) -> None:
        """Forget the transaction and let those go on that wait for it."""
        held, self.held = self.held, []
        self.writes, self.reads, self.snapshot = {}, set(), None
        for place in held:
            self.server.release(place)

    def kill(self) -> None:
        """The connection has ended: roll back, also in the middle of a wait."""
        if self.alive:
            self.alive = False
            if self._stop_waiting is not None:
                self._stop_waiting(ServerError(LOST, "terminating connection"))
            self.end()

    def waiting(self, stop: Callable[[BaseException], None] | None) -> None:
        """Remember how to end the wait of the statement that runs now; None: it does not wait."""
        self._stop_waiting = stop


class DatabaseServer:
    """Tables, locks, sessions.

    Args:
        world: where it is.
        schemas: of the tables of the application and of the store.
        faults: see `DatabaseFaults`.

    Attributes:
        commits: the number of the newest commit.
        deadlocks: how many transactions were chosen as victims.
    """

    def __init__(self, world: World, schemas: Iterable[Schema], faults: DatabaseFaults) -> None:
        self.world = world
        self.faults = faults
        self.tables = {schema.name: SimulatedTable(schema) for schema in schemas}
        self.commits = 0
        self.deadlocks = 0
        self._owners: dict[Place, Session] = {}
        self._queues: dict[Place, deque[tuple[Session, Callable[[], None]]]] = {}

    @property
    def places_held(self) -> int:
        """How many rows and other places are locked."""
        return len(self._owners)

    def owner(self, place: Place) -> Session | None:
        """Who has locked a place."""
        return self._owners.get(place)

    def apply(self, writes: dict[Place, Record | None]) -> None:
        """Commit records."""
        self.commits += 1
        for (name, key), record in writes.items():
            table = self.tables.get(name)
            if table is None:  # a value of a unique constraint: only locked
                continue
            before = table.latest(key)
            table.versions.setdefault(key, []).append((self.commits, record))
            for constraint, columns in table.unique.items():
                for each, taken in ((before, False), (record, True)):
                    if each is not None:
                        value = (constraint, tuple([each[column] for column in columns]))
                        table.taken[value] = key
                        if not taken:
                            del table.taken[value]

    def carry_out(self, session: Session, statement: Statement, answer: Answer) -> None:
        """Run a statement to its end, or to the next place that it has to wait for."""
        if session.snapshot == FIRST_STATEMENT:
            session.snapshot = self.commits
        while True:
            try:
                place = next(statement)
            except StopIteration as stop:
                answer(stop.value, None)
                return
            except ServerError as error:
                answer(None, error)
                return
            owner = self._owners.get(place)
            if owner is None:
                self._owners[place] = session
                session.held.append(place)
            elif owner is not session:
                self._wait(session, place, statement, answer)
                return

    def _wait(self, session: Session, place: Place, statement: Statement, answer: Answer) -> None:
        if self._closes_circle(session, place):
            self.deadlocks += 1
            statement.close()
            answer(None, ServerError(DEADLOCK, "deadlock detected"))
            return
        queue = self._queues.setdefault(place, deque())
        session.waits_for = place
        ended = False

        def leave() -> None:
            nonlocal ended
            ended, session.waits_for = True, None
            session.waiting(None)

        def granted() -> None:
            if not ended:
                leave()
                self.carry_out(session, statement, answer)

        def stop(error: BaseException) -> None:
            if not ended:
                leave()
                if waiter in queue:  # else the place is handed over at this moment, and the roll-back releases it
                    queue.remove(waiter)
                statement.close()
                answer(None, error)

        waiter = (session, granted)
        queue.append(waiter)
        session.waiting(stop)
        self.world.after(session.lock_wait_s, lambda: stop(ServerError(TIMEOUT, "canceling due to lock timeout")))

    def _closes_circle(self, session: Session, place: Place) -> bool:
        owner = self._owners.get(place)
        for _ in range(len(self._owners) + 1):
            if owner is session:
                return True
            if owner is None or owner.waits_for is None:
                return False
            owner = self._owners.get(owner.waits_for)
        return False

    def release(self, place: Place) -> None:
        """Hand a place to the first that waits for it."""
        queue = self._queues.get(place)
        if not queue:
            self._owners.pop(place, None)
            return
        session, go_on = queue.popleft()
        self._owners[place] = session
        session.held.append(place)
        self.world.after(0.0, lambda: go_on() if session.alive else None)
