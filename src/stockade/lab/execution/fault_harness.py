"""What a fault plays with: two worker processes, of which the first is hurt, and the Redis servers of an entrant.

Faults are aimed, not timed: the victim stops or dies when its store comes to a fault point, and the script goes on when
it has. Neighbours: `processes` are the workers, `redis_node` the servers, `faults/` the scripts, `fault_runner` plays.
"""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self

from stockade.core import Command, Stats, Unknown
from stockade.lab.errors import LabError
from stockade.lab.execution.executors import Team
from stockade.lab.execution.load import FAILED, Shot
from stockade.lab.execution.processes import WorkerGone, WorkerProcess
from stockade.lab.execution.worker import Aim, Play, Prepare
from stockade.lab.preset import Scene
from stockade.lab.targets.redis_node import RedisNode

HIT_WAIT_S = 10.0  # until the victim has come to its fault point
PATIENCE_S = 1.0  # how long a buyer is watched before he counts as one who waits for the stopped process
UNSAFE_PATIENCE_S = 10.0  # the same where nothing makes him wait: who must be seen to fail is given the time it takes
ASK_AGAIN = 3  # how often a buyer without a decision sends his request again


class Rig:
    """Two processes that take the same orders. A context manager; leaving it ends them.

    Attributes:
        point: the fault point that the present repeat is aimed at.
        patience_s: how long a buyer is watched while the victim stands still.
        nodes: the entrant's Redis servers.
        effort: what the stores did; a killed process takes its part with it.
    """

    def __init__(self) -> None:
        self.victim, self.other = WorkerProcess("the victim"), WorkerProcess("the other process")
        self.point = ""
        self.patience_s = PATIENCE_S
        self.nodes: Sequence[RedisNode] = ()
        self.effort = Stats()
        self._team: Team | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in (self.victim, self.other):
            worker.close()
        for worker in (self.victim, self.other):
            worker.join()

    async def prepare(self, team: Team, nodes: Sequence[RedisNode]) -> None:
        """Let both processes open this team's shop; start anew who was killed.

        Raises:
            LabError: a process could not.
        """
        self._team, self.nodes, self.effort = team, nodes, Stats()
        await asyncio.gather(self.victim.ask(Prepare(team)), self.other.ask(Prepare(team)))

    async def aim(self, what: signal.Signals) -> None:
        """Send the victim this signal when its store next comes to the fault point."""
        await self.victim.ask(Aim(self.point, what))

    def send(self, worker: WorkerProcess, commands: Sequence[Command]) -> "asyncio.Task[list[Shot]]":
        """Let a process carry these out, all at once; who is killed meanwhile leaves everything unknown."""
        task = asyncio.create_task(self._send(worker, tuple(commands)))
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # a broken-off run asks nobody
        return task

    async def _send(self, worker: WorkerProcess, commands: tuple[Command, ...]) -> list[Shot]:
        began_ns = time.monotonic_ns()
        try:
            played = await worker.ask(Play(commands))
        except WorkerGone:
            ended_ns = time.monotonic_ns()
            return [
                Shot(command.request_id, FAILED, Unknown.code, "", "", began_ns, ended_ns, unknown=True)
                for command in commands
            ]
        self.effort.add(played.effort)
        return list(played.shots)

    async def replace_victim(self) -> None:
        """Start another process in the place of the one that was killed.

        Raises:
            LabError: it lives, so the fault has missed it.
        """
        if self.victim.alive or self._team is None:
            raise LabError(f"the fault missed: nobody came to the point {self.point!r}")
        self.victim.close()
        self.victim = WorkerProcess("the victim")
        await self.victim.ask(Prepare(self._team))

    async def behind_the_holder(self, scene: Scene, meanwhile: Callable[[], Awaitable[None]]) -> list[Shot]:
        """The victim is stopped with the first buyer's lock in its hand, and goes on when the others are served.

        If the second buyer cannot be served while it stands still (it holds the row itself), it goes on before him.

        Args:
            scene: two buyers at least.
            meanwhile: what happens once it has stopped.
        """
        first, second, *others = scene.orders
        await self.aim(signal.SIGSTOP)
        late = self.send(self.victim, [first])
        await self._hit(late)
        try:
            await meanwhile()
            tried = self.send(self.other, [second])
            served, _ = await asyncio.wait([tried], timeout=self.patience_s)
            rest = await self.send(self.other, others) if served else []
        finally:
            self.victim.resume()
        if not served:
            rest = await self.send(self.other, others)
        return [*await late, *await tried, *rest]

    async def _hit(self, late: "asyncio.Task[list[Shot]]") -> None:
        deadline = time.monotonic() + HIT_WAIT_S
        while time.monotonic() < deadline and not late.done():
            if await self.victim.stopped(wait_s=0.1):
                return
        raise LabError(f"the fault missed: nobody came to the point {self.point!r}")

    async def ask_again(self, scene: Scene, shots: Sequence[Shot]) -> list[Shot]:
        """Who has no decision sends the same request again, through the process that was not hurt, as a client would.

        The answer replaces the failure; the time counts from the first request.
        """
        commands = {command.request_id: command for command in scene.orders}
        known = list(shots)
        for _ in range(ASK_AGAIN):
            open_ = [n for n, shot in enumerate(known) if shot.answer == FAILED and not shot.unexpected]
            if not open_:
                break
            told = await self.send(self.other, [commands[known[n].request_id] for n in open_])
            for n, shot in zip(open_, told, strict=True):
                known[n] = shot._replace(began_ns=known[n].began_ns)
        return known
