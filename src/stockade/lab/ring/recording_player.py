"""Records cells on servers that the whole ring shares, and judges the histories. Neighbour: `player.py` calls it."""

from dataclasses import dataclass
from typing import Final

from stockade.lab.checkers import judge
from stockade.lab.errors import LabError
from stockade.lab.model.contender import Contender
from stockade.lab.recording.engine import record
from stockade.lab.recording.plan import RecordingPlan
from stockade.lab.ring.cell import Cell
from stockade.lab.ring.design import Parts
from stockade.lab.ring.expectation import PROCESSES
from stockade.lab.ring.player import Recorded
from stockade.lab.site.site_servers import SiteServers

SHARE_WITHOUT_FAULT: Final = 0.5  # of the load: there is nothing to heal from


@dataclass(frozen=True, slots=True)
class RecordingPlayer:
    """A `Player` over real servers and processes.

    Attributes:
        parts: the faults and workloads that the names of a cell stand for.
        seconds: of load.
        servers: keeps servers from one cell to the next.
        drawn: the faults come one after the other at times that the seed decides, instead of all at once.
    """

    parts: Parts
    seconds: float
    servers: SiteServers
    drawn: bool = False

    async def __call__(self, cell: Cell, seed: int) -> Recorded:
        """See `Player`."""
        history = await record(self.plan(cell, seed), self.servers)
        return Recorded(history, judge(history))

    def plan(self, cell: Cell, seed: int) -> RecordingPlan:
        """The recording of a cell.

        Raises:
            LabError: the cell names what there is not.
        """
        workloads = {each.name: each for each in self.parts.workloads}
        unknown = [name for name in cell.faults if name not in self.parts.fault_by_name]
        if unknown or cell.workload not in workloads:
            raise LabError(f"cell {cell.id}: there is no {', '.join(unknown) or cell.workload} here")
        return RecordingPlan(
            workload=workloads[cell.workload],
            contender=Contender.parse(cell.contender),
            database=cell.database,
            faults=[self.parts.fault_by_name[name] for name in cell.faults],
            seed=seed,
            seconds=self.seconds if cell.faults else self.seconds * SHARE_WITHOUT_FAULT,
            processes=PROCESSES,
            schedule="drawn" if self.drawn else "combined",
        )
