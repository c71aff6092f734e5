"""Records one cell on servers that the whole ring shares, and judges the history. Neighbour: `ring.py` calls it."""

from dataclasses import dataclass

from stockade.lab.checkers import judge
from stockade.lab.errors import LabError
from stockade.lab.model.contender import Contender
from stockade.lab.recording.engine import record
from stockade.lab.recording.plan import RecordingPlan
from stockade.lab.ring.cell import Cell
from stockade.lab.ring.design import PROCESSES, Parts
from stockade.lab.ring.ring import Recorded
from stockade.lab.site.site_servers import SiteServers


@dataclass(frozen=True, slots=True)
class RecordingPlayer:
    """A `Player` over real servers and processes.

    Attributes:
        parts: the faults and workloads that the names of a cell stand for.
        seconds: of load.
        servers: keeps servers from one cell to the next.
    """

    parts: Parts
    seconds: float
    servers: SiteServers

    async def __call__(self, cell: Cell, seed: int, *, control: bool) -> Recorded:
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
            seconds=self.seconds,
            processes=PROCESSES,
        )
