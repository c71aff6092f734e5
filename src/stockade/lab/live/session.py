"""What the server of the live page knows and does: the runs of this session, one at a time, one race in slow motion.

Neighbours: `app.py` answers pages from here, `child.py` starts the processes that do the work.
"""

import asyncio
import secrets
from collections import deque
from typing import Any, Final

from stockade.lab.errors import LabError
from stockade.lab.lines import said_by
from stockade.lab.live.child import Child
from stockade.lab.live.choices import DATABASES, Choices
from stockade.lab.live.feed import Feed
from stockade.lab.live.plan import LivePlan
from stockade.lab.live.runs import ENDED, FAILED, STOPPED, Run
from stockade.lab.slow_motion.two_buyers import CONTROLS

RUN: Final = "stockade.lab.live.running.main"
RACE: Final = "stockade.lab.slow_motion.main"
MOST_RUNS: Final = 20  # that are kept to compare with
LONGEST_RUN_S: Final = 1_800.0
RACE_WAIT_S: Final = 60.0  # for a state: a private database has to start
RACE_IDLE_S: Final = 900.0  # then it is ended: nobody looks any more


class Occupied(LabError):
    """Something runs already, or another page has begun something new."""


class Session:
    """One server's session.

    Args:
        choices: what there is to choose.

    Attributes:
        feed: tells pages what happens.
        runs: the newest last.
        run_pid: process, and group, of the newest run.
    """

    def __init__(self, choices: Choices) -> None:
        self.choices = choices
        self.runs: deque[Run] = deque(maxlen=MOST_RUNS)
        self.feed = Feed(self.state)
        self._number = 0
        self._task: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._stopped = False
        self.run_pid = 0
        self._race: Child | None = None
        self._race_id = ""
        self._race_turn = asyncio.Lock()
        self._race_idle: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def state(self) -> dict[str, Any]:
        """Everything that a page shows of runs; only the newest has its points."""
        newest = self.runs[-1] if self.runs else None
        return {"runs": [each.as_json(points=each is newest) for each in self.runs]}

    # -- runs ----------------------------------------------------------------------------------------------

    def start(self, plan: LivePlan) -> Run:
        """Begin a run; it goes on by itself.

        Raises:
            Occupied: another one runs.
        """
        if self._task is not None and not self._task.done():
            raise Occupied("a run is going on: stop it, or wait until it has ended")
        self._number += 1
        self._stopped, self._listening = False, None
        run = Run(self._number, plan)
        self.runs.append(run)
        self.feed.publish("run", run.as_json(points=False))
        self._task = asyncio.create_task(self._carry_out(run), name="stockade-live-run")
        return run

    async def _carry_out(self, run: Run) -> None:
        """Nothing cancels this: `stop` cancels what listens only, so that every run ends in order and says how."""
        child = None
        try:
            child = await Child.start(RUN)
            self.run_pid = child.pid
            self._listening = asyncio.create_task(self._listen(run, child), name="stockade-live-listening")
            if self._stopped:  # while the child was being started
                self._listening.cancel()
            await asyncio.wait([self._listening])
            run.state, run.error = _how_it_ended(self._listening)
        except Exception as error:  # noqa: BLE001 - whatever it is, the page says it
            run.state, run.error = FAILED, said_by(error)
        finally:
            try:
                if child is not None:
                    await child.end()
            finally:
                run.version += 1
                self.feed.publish("run", run.as_json(points=False))

    async def _listen(self, run: Run, child: Child) -> None:
        async with asyncio.timeout(LONGEST_RUN_S):
            await child.send(run.plan.as_json())
            while (told := await child.receive()) is not None:
                run.take(told)
                self.feed.publish("told", {**told, "run": run.number, "seen_to_fail": run.seen_to_fail})

    async def stop(self) -> None:
        """End the run that goes on, with everything that it started; nothing if there is none.

        However often it is called, and also while the run ends by itself: it answers when the run has ended.
        """
        if self._task is not None and not self._task.done():
            self._stopped = True
            if self._listening is not None:
                self._listening.cancel()
            await asyncio.wait([self._task])

    # -- slow motion ---------------------------------------------------------------------------------------

    async def begin_race(self, control: str, database: str) -> dict[str, Any]:
        """Begin a race in slow motion; one that another page has begun ends.

        Raises:
            LabError: there is no such control or database.
        """
        if control not in CONTROLS:
            raise LabError(f"control must be one of: {', '.join(CONTROLS)}")
        if database not in DATABASES:
            raise LabError(f"database must be one of: {', '.join(DATABASES)}")
        if why := self.choices.databases[database]:
            raise LabError(f"{database}: {why}")
        async with self._race_turn:
            await self._end_race()
            self._race = await Child.start(RACE, control, database)
            self._race_id = secrets.token_hex(8)
            return await self._race_state(self._race)

    async def step_race(self, race_id: str, who: str) -> dict[str, Any]:
        """Let one of the race go on.

        Args:
            race_id: of the race, from its first state.
            who: see `TwoBuyers.step`.

        Raises:
            Occupied: the race has ended, or another page has begun one.
            LabError: that one cannot go on.
        """
        async with self._race_turn:
            race = self._race
            if race is None or not secrets.compare_digest(race_id, self._race_id):
                raise Occupied("this race is over: another page began one, or nobody looked for long; begin again")
            await race.send(who)
            return await self._race_state(race)

    async def _race_state(self, race: Child) -> dict[str, Any]:
        if self._race_idle is not None:
            self._race_idle.cancel()
        self._race_idle = asyncio.get_running_loop().call_later(RACE_IDLE_S, self._race_is_idle)
        try:
            async with asyncio.timeout(RACE_WAIT_S):
                state = await race.receive()
        except TimeoutError:
            await self._end_race()
            raise LabError(f"no answer in {RACE_WAIT_S:.0f} s; begin again") from None
        if state is None:
            await self._end_race()
            raise LabError("the race has ended; begin again")
        return {**state, "id": self._race_id}

    def _race_is_idle(self) -> None:
        task = asyncio.create_task(self._end_race())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _end_race(self) -> None:
        race, self._race = self._race, None
        if self._race_idle is not None:
            self._race_idle.cancel()
            self._race_idle = None
        if race is not None:
            await race.end()

    async def close(self) -> None:
        """End everything; pages learn it."""
        self.feed.close()
        await asyncio.gather(self.stop(), self._end_race(), *self._ending)


def _how_it_ended(listening: asyncio.Task[None]) -> tuple[str, str]:
    """State of a run whose process is not listened to any more, and the error in words."""
    if listening.cancelled():
        return STOPPED, ""
    error = listening.exception()
    if error is None:
        return ENDED, ""
    if isinstance(error, TimeoutError):
        return FAILED, f"it was ended after {LONGEST_RUN_S:.0f} s"
    return FAILED, said_by(error)
