"""What is measured of a lock, and how fairness is put into figures. Neighbours: `contenders.py`, `__main__.py`."""

import resource
from dataclasses import dataclass
from typing import Any

SECTION_S = 0.001


@dataclass
class Contended:
    """One contended run: per acquisition (worker, asked, got)."""

    wall_s: float
    log: list[tuple[int, float, float]]
    requests: float
    commands: float

    def row(self, workers: int) -> dict[str, float]:
        """The figures of the table."""
        ideal_s = len(self.log) * SECTION_S
        waits = [got - asked for _, asked, got in self.log]
        first_half = sorted(self.log, key=lambda entry: entry[2])[: len(self.log) // 2]
        shares = [sum(entry[0] == worker for entry in first_half) for worker in range(workers)]
        return {
            "x ideal": self.wall_s / ideal_s,
            "requests": self.requests / len(self.log),
            "commands": self.commands / len(self.log),
            "max/mean wait": max(waits) / (sum(waits) / len(waits)),
            "Jain": sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares)),
        }


@dataclass(frozen=True)
class Pairs:
    """One uncontended run: acquire+release pairs per second, and what one costs this process."""

    per_s: float
    cpu_us: float


def cpu_s() -> float:
    """Processor seconds of this process so far, the operating system's part included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def effort(client: Any) -> tuple[int, int]:
    """Requests read and commands run by the server so far (commands inside scripts count)."""
    ours = ("cmdstat_info", "cmdstat_client")
    rows = client.info("commandstats").items()
    commands = sum(row["calls"] for name, row in rows if not name.startswith(ours))
    return client.info("stats")["total_reads_processed"], commands
