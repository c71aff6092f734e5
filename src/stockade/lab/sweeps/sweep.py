"""Plays a sweep: round after round, in each round every point; at those of one opening one strategy after the other.

So what changes on the machine meanwhile hits all points and strategies alike, and a sweep that ends early has something
about each of them. The strategy that begins changes from round to round. Points of one setting, such as `buyers=30` and
`keys=1`, have the same samples. Neighbours: `playing/` has a turn, `sweep_file.py` keeps the samples,
`cli/lab/sweep.py` shows the progress.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Final, NamedTuple

from stockade.core import JsonValue
from stockade.lab.model.contender import Contender
from stockade.lab.reporting.environment import describe
from stockade.lab.sweeps.analysis.complexity import complexity_of
from stockade.lab.sweeps.analysis.summary import PointResult, results_of
from stockade.lab.sweeps.axes import Point, Setting
from stockade.lab.sweeps.document import document
from stockade.lab.sweeps.machine import machine
from stockade.lab.sweeps.plan import SweepPlan, Turn, dialect_of
from stockade.lab.sweeps.playing.servers import open_servers
from stockade.lab.sweeps.playing.turn import TurnPlayer
from stockade.lab.sweeps.sample import Sample
from stockade.lab.sweeps.sweep_file import SweepFile
from stockade.lab.targets.target_database import SQLITE

FILE_TURN_S: Final = 0.5  # a turn on SQLite, before any was played here
SERVER_TURN_S: Final = 1.0  # the same on a server
WRITING_SHARE: Final = 0.05  # of the time goes into writing the file, at most


class Progress(NamedTuple):
    """After a turn.

    Attributes:
        point: where it was.
        contender: who played it.
        samples: what it gave.
        done: turns of the plan that are played, those of the file included.
        total: turns of the plan.
        left_s: how long the rest will take, in seconds, if it takes as long as what was played.
    """

    point: Point
    contender: Contender
    samples: Sequence[Sample]
    done: int
    total: int
    left_s: float


class Sweep:
    """One sweep.

    Args:
        plan: what to play.
        file: with the samples that are there, and where new ones go.
        code: version and hash of the present code.

    Attributes:
        complexity: of every strategy.
    """

    def __init__(self, plan: SweepPlan, file: SweepFile, code: Mapping[str, JsonValue]) -> None:
        self._plan, self._file, self._code = plan, file, code
        self._played_s: dict[tuple[str, str], float] = {}
        self._environment = file.environment
        database = dialect_of(plan.database)
        self.complexity = [complexity_of(each, database).as_json() for each in plan.contenders]
        self._write_at_s = 0.0  # on the monotonic clock
        self._share()

    @property
    def results(self) -> list[PointResult]:
        """Of every point that has samples."""
        return results_of(tuple(self._file.points.values()), self._plan.contenders, self._file.samples)

    def missing(self, number: int) -> list[Turn]:
        """The turns of a round that have no sample yet."""
        return [turn for turn in self._plan.turns if self._is_missing(turn, number)]

    def _is_missing(self, turn: Turn, number: int) -> bool:
        point, contender = turn
        return all(sample.round != number for sample in self._file.samples[point.id, contender.name])

    @property
    def turns_left(self) -> int:
        """How many turns of the plan are not played."""
        return sum(len(self.missing(number)) for number in range(self._plan.repeats))

    def document(self) -> dict[str, JsonValue]:
        """Of what there is."""
        complete = not self.turns_left
        return document(self._environment, self._plan, self._code, self.results, self.complexity, complete=complete)

    async def play(self, report: Callable[[Progress], None]) -> dict[str, JsonValue]:
        """Play what is missing; the document.

        Args:
            report: told after each turn.

        Raises:
            LabError: a server or a process failed, or the file is of another machine.
        """
        if not self.turns_left:
            return self.document()
        async with open_servers(self._plan) as servers:
            self._environment = {**await describe(servers.target), **machine()}
            self._file.check_machine(self._environment)
            async with TurnPlayer(self._plan, servers) as player:
                try:
                    for number in range(self._plan.repeats):
                        await self._round(player, number, report)
                finally:
                    self._write()
        return self.document()

    async def _round(self, player: TurnPlayer, number: int, report: Callable[[Progress], None]) -> None:
        for group in self._plan.groups:
            missing = {point.id for point, each in group if self._is_missing((point, each), number)}
            turns = [(point, each) for point, each in group if point.id in missing]
            contenders = list(dict.fromkeys(each for _, each in turns))
            taken = dict[tuple[str, str], list[Sample]]()
            for place in range(len(contenders)):
                contender = contenders[(place + number) % len(contenders)]
                points, began_s = [point for point, each in turns if each == contender], time.monotonic()
                async with player.open(points[0].setting, contender) as opened:
                    for point in points:
                        taken[point.id, contender.name] = await player.play(opened, point, number)
                        self._played_s[point.id, contender.name] = time.monotonic() - began_s
                        began_s = time.monotonic()
                        report(self._progress(point, contender, taken[point.id, contender.name], len(taken)))
            self._keep(taken)

    def _keep(self, taken: Mapping[tuple[str, str], Sequence[Sample]]) -> None:
        """Keep a whole round of points: their strategies are compared with one another."""
        for key, samples in taken.items():
            others = [each for each in self._file.samples[key] if each.round != samples[0].round]
            self._file.samples[key] = sorted([*others, *samples], key=lambda each: (each.round, each.burst))
        if taken:
            self._share()
        if taken and time.monotonic() >= self._write_at_s:
            self._write()

    def _share(self) -> None:
        """Give points of one setting the samples that one of them has: they are the same orders on the same rows."""
        having = dict[tuple[Setting, str, int], list[Sample]]()
        for (id_, name), samples in self._file.samples.items():
            for number, some in groupby(samples, key=lambda each: each.round):
                having.setdefault((self._file.points[id_].setting, name, number), list(some))
        for point in self._plan.points:
            for contender in self._plan.contenders_of(point):
                own = self._file.samples[point.id, contender.name]
                missing = set(range(self._plan.repeats)) - {each.round for each in own}
                for number in missing:
                    own += having.get((point.setting, contender.name, number), ())
                own.sort(key=lambda each: (each.round, each.burst))

    def _write(self) -> None:
        if self._file.path is None:
            return
        began_s = time.monotonic()
        self._file.write(self.document())
        ended_s = time.monotonic()
        self._write_at_s = ended_s + (ended_s - began_s) / WRITING_SHARE

    def _progress(self, point: Point, contender: Contender, samples: Sequence[Sample], unkept: int) -> Progress:
        turns = self._plan.turns
        total, left = len(turns) * self._plan.repeats, self.turns_left - unkept
        return Progress(point, contender, samples, total - left, total, left * self._turn_s())

    @property
    def left_s(self) -> float:
        """How long what is missing will take, in seconds: at first as it took elsewhere."""
        return self.turns_left * self._turn_s()

    def _turn_s(self) -> float:
        """How long a turn takes on the average, as far as it is known."""
        known = list(self._played_s.values())
        first_s = FILE_TURN_S if dialect_of(self._plan.database) == SQLITE else SERVER_TURN_S
        usual_s = sum(known) / len(known) if known else first_s
        each_s = [self._played_s.get((where.id, who.name), usual_s) for where, who in self._plan.turns]
        return sum(each_s) / len(each_s)
