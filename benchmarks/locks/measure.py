"""The measurements of one run, and the figures of the tables (Jain: the fairness index of Jain et al. 1984)."""

import resource
from dataclasses import dataclass
from typing import Any

SECTION_S = 0.001


@dataclass
class Contended:
    """One contended run; `log` has (worker, second of the request, second of the grant) for each acquisition."""

    wall_s: float
    log: list[tuple[int, float, float]]
    requests: float
    commands: float

    def row(self, workers: int) -> dict[str, float]:
        """The figures of the table."""
        ideal_s = len(self.log) * SECTION_S
        waits = [granted - requested for _, requested, granted in self.log]
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
    """One uncontended run: acquire+release pairs per second, and the processor time of one in this process."""

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
