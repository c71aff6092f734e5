"""One seeded history of the lock library in the simulator, and what must hold in it whatever happened.

Clients (each a process of its own) take one lock in turn and add one to a counter that checks their fencing token.
Checked: no acknowledged addition is lost; at most one client believes to hold (unless the server itself forgot);
nobody waits past his deadline; when all is over the lock is free. A `Witness` hears of each call and each access;
`tests/lab/mutants` makes histories for the checkers of the lab from them.
"""

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from stockade.locks.async_api import Lease
from stockade.locks.engine.lock_request import Spec
from stockade.locks.engine.manager import LockManager
from stockade.locks.errors import LockError
from stockade.locks.redis.backend import RedisBackend
from stockade.locks.redis.tuning import RedisTuning
from stockade.locks.testing.simulated_redis import SimNetwork, SimRedis, SimTransport, Weather
from stockade.locks.testing.simulator import Sim, SimProcess, SimRuntime, SimTask

LEASE_S = 1.0
TUNING = RedisTuning(poll_s=0.2, call_s=0.25, patience_s=0.8)


async def spend(runtime: SimRuntime, seconds: float) -> None:
    """Let simulated time pass."""
    await runtime.wait_for(runtime.new_wakeup(), seconds)


class Broken(AssertionError):
    """An invariant does not hold."""


class Refused(Exception):
    """The resource has seen a newer token, or the same of another owner."""


@dataclass
class Kind:
    """What may go wrong in a history."""

    pauses: bool = False
    cancel: bool = False
    cancel_turn: int = -1
    failover: bool = False
    expire_all: bool = False
    weather: Weather = field(default_factory=Weather)
    limits_s: tuple[float, ...] = (0.0, 0.3, 3.0, 6.0)
    clients: int = 3
    processes: int = 0  # that the clients share; 0: each has its own
    hold_s: float = 0.02
    turns: int = 2


class Witness:
    """Is told what clients did, times in seconds; this one forgets it."""

    def acquired(self, client: int, owner: str, times: tuple[float, float], granted: bool | None) -> None:
        """An acquire has returned; None: its caller cannot know whether it was granted, and has withdrawn it."""

    def released(self, client: int, owner: str, times: tuple[float, float], *, known: bool) -> None:
        """A release has returned; if it is not known, the lease may end at any moment from the first of `times`."""

    def accessed(self, client: int, owner: str, token: int, kind: str, at_s: float, *, applied: bool) -> None:
        """The resource applied a `read` or a `write`, or refused it."""


class Resource:
    """A counter behind a guard.

    `guard`: "install" (right: a fence), "write" (its token is compared only when writing), "lease" (nothing but that
    the client looks at its lease in the same moment, which is possible only in a simulator), "none".
    """

    def __init__(self, guard: str = "install") -> None:
        self.guard = guard
        self.value = 0
        self.token = (0, "")

    def admit(self, lease: Lease) -> None:
        if self.guard == "lease":
            if not lease.alive:
                raise Refused
            return
        token, owner = self.token
        if lease.fencing_token < token or (lease.fencing_token == token and lease.token != owner):
            raise Refused
        self.token = (lease.fencing_token, lease.token)

    def read(self, lease: Lease) -> int:
        if self.guard in ("install", "lease"):
            self.admit(lease)
        return self.value

    def write(self, lease: Lease, value: int) -> None:
        if self.guard != "none":
            self.admit(lease)
        self.value = value


class History:
    """One run."""

    def __init__(
        self,
        seed: int,
        kind: Kind,
        resource: Resource | None = None,
        server: SimRedis | None = None,
        witness: Witness | None = None,
    ) -> None:
        random.seed(seed)  # the jitter of the backend
        self.kind = kind
        self.witness = witness or Witness()
        self.sim = Sim(seed)
        self.rng = self.sim.rng
        self.resource = resource or Resource()
        self.network = SimNetwork(server or SimRedis(), kind.weather)
        self.replica = None
        self.added = self.double_belief = 0
        self.leases: list[Lease] = []
        self.managers: list[LockManager] = []
        self.tasks: list[SimTask] = []
        self.spec = Spec("a", lease_s=LEASE_S, renew=self.rng.random() < 0.7, on_lost="cancel")

    async def client(self, number: int, manager: LockManager, runtime: SimRuntime) -> None:
        for turn in range(self.kind.turns):
            await spend(runtime, self.rng.random() * 0.02)
            started, granted = runtime.now(), None
            limit_s = self.rng.choice(self.kind.limits_s)
            who = (number, f"client {number}, turn {turn}")
            try:
                lease = await manager.acquire(self.spec, limit_s)
                if lease is not None or not limit_s:  # who waited in vain may be granted at the last moment
                    granted = lease is not None
            except LockError:
                continue
            finally:
                self.witness.acquired(*who, (started, runtime.now()), granted)
                if not self.kind.pauses and runtime.now() - started > limit_s + 0.5:
                    raise Broken(f"waited {runtime.now() - started:.2f} s of {limit_s} s")
            if lease is not None:
                self.leases.append(lease)
                await self.add_one(who, manager, runtime, lease)

    async def add_one(self, who: tuple[int, str], manager: LockManager, runtime: SimRuntime, lease: Lease) -> None:
        error = None
        try:
            self.look()
            with self.access(who, lease, "read"):
                value = self.resource.read(lease)
            await spend(runtime, self.rng.random() * self.kind.hold_s)
            if self.kind.pauses and self.rng.random() < 0.3:
                runtime.home.paused_until = runtime.now() + self.rng.uniform(0.5, 2.0) * LEASE_S
                await spend(runtime, 0.0)
            self.look()
            with self.access(who, lease, "write"):
                self.resource.write(lease, value + 1)
            self.added += 1
        except Refused:
            pass
        except BaseException as trouble:
            error = trouble
            raise
        finally:
            await self.release(who, manager, lease, error)

    @contextlib.contextmanager
    def access(self, who: tuple[int, str], lease: Lease, kind: str) -> Iterator[None]:
        """Tell the witness of an access."""
        applied = False
        try:
            yield
            applied = True
        finally:
            self.witness.accessed(*who, lease.fencing_token, kind, self.sim.now, applied=applied)

    async def release(
        self, who: tuple[int, str], manager: LockManager, lease: Lease, error: BaseException | None
    ) -> None:
        """Release, and tell the witness; a lease that had run out was over when it ran out."""
        began, known = min(self.sim.now, lease.deadline), False
        try:
            with contextlib.suppress(LockError):
                known = await manager.releaser.exit(lease, error) and not lease.lost_reason
        finally:
            self.witness.released(*who, (began, self.sim.now), known=known)

    def look(self) -> None:
        """Count those who believe to hold."""
        if sum(lease.alive for lease in self.leases) > 1:
            self.double_belief += 1

    def start(self) -> None:
        for number in range(self.kind.clients):
            if len(self.managers) < (self.kind.processes or self.kind.clients):
                runtime = SimRuntime(self.sim, SimProcess(f"p{number}"))
                backend = RedisBackend(runtime, SimTransport(runtime, self.network), TUNING)
                self.managers.append(LockManager(runtime, backend, Lease))
            manager = self.managers[number % len(self.managers)]
            runtime = manager.runtime
            task = self.sim.start(runtime.home, self.client(number, manager, runtime))
            self.tasks.append(task)
            if self.kind.cancel and self.rng.random() < 0.6:
                self.sim.after(self.rng.random() * 0.15, task.cancel)
        self.tasks[0].cancel_at = self.kind.cancel_turn
        if self.kind.failover:
            self.sim.after(self.rng.random() * 0.1, self.copy_server)
            self.sim.after(0.1 + self.rng.random() * 0.1, self.fail_over)
        if self.kind.expire_all:
            self.sim.after(self.rng.random() * 0.2, self.expire_all)

    def copy_server(self) -> None:
        self.replica = self.network.server.snapshot()

    def fail_over(self) -> None:
        self.replica.listeners = self.network.server.listeners
        self.network.server = self.replica

    def expire_all(self) -> None:
        self.network.server.owners.clear()

    def run(self) -> "History":
        """Play it, and check what must hold.

        Raises:
            Broken: something does not.
        """
        self.play()
        self.check()
        return self

    def play(self) -> None:
        """Play it.

        Raises:
            Broken: a client never came back, or waited beyond its limit.
        """
        self.start()
        while self.sim.now < 40.0 and not all(task.done for task in self.tasks):
            self.sim.run(self.sim.now + 0.1)
        self.sim.run(self.sim.now + (0.3 if self.strict else 3 * LEASE_S))  # withdrawals; or what must run out
        for task in self.tasks:
            if not task.done:
                raise Broken("a client never came back")
            if isinstance(task.error, Exception):
                raise task.error

    @property
    def strict(self) -> bool:
        """Whether nothing may be left that has to run out first: no call was lost, the server forgot nothing."""
        weather = self.kind.weather
        lost = weather.lose_request or weather.lose_reply or 2 * weather.latency_s > TUNING.call_s  # or given up
        return not (lost or self.kind.failover or self.kind.expire_all)

    def check(self) -> None:
        if self.resource.value != self.added:
            raise Broken(f"{self.added} additions were acknowledged, {self.resource.value} are there")
        forgot = self.kind.failover or self.kind.expire_all
        if self.double_belief and not forgot:
            raise Broken("two clients believed to hold at once")
        server = self.network.server
        server.now_ms = self.sim.now * 1000
        if server.owner("stockade:a"):
            raise Broken(f"still held by {server.owner('a')}")
        if self.strict and server.queues.get("stockade:a"):
            raise Broken(f"still in line: {server.queues['a']}")
