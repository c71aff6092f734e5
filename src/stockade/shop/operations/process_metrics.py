"""What a process uses: processor time, memory, open files. Neighbour: `metrics`, which holds one of these.

prometheus_client has a collector of its own for this, but not in its multiprocess mode, in which any process answers
for all of them.
"""

import os
import time
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_SELF = Path("/proc/self")


class ProcessMetrics:
    """Metrics of the own process; /metrics shows the sum of all serving processes.

    Args:
        registry: to show them in.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._cpu = Counter(
            "stockade_process_cpu_seconds", "Processor time that the processes used, in seconds.", registry=registry
        )
        self._resident = _sum("stockade_process_resident_bytes", "Memory of the processes, in bytes.", registry)
        self._files = _sum("stockade_process_open_files", "Files and connections that the processes hold.", registry)
        self._processes = _sum("stockade_processes", "Processes that answer requests, or the worker.", registry)
        self._seen_cpu_s = 0.0

    def refresh(self) -> None:
        """Bring the metrics up to date. Where there is no /proc, memory and files are not a number."""
        now_s = time.process_time()
        self._cpu.inc(now_s - self._seen_cpu_s)
        self._seen_cpu_s = now_s
        self._processes.set(1)
        try:
            resident_pages = int((_SELF / "statm").read_text().split()[1])  # proc(5): resident set size
            self._resident.set(resident_pages * _PAGE_BYTES)
            self._files.set(sum(1 for _ in (_SELF / "fd").iterdir()))
        except OSError:
            self._resident.set(float("nan"))
            self._files.set(float("nan"))


def _sum(name: str, about: str, registry: CollectorRegistry) -> Gauge:
    return Gauge(name, about, registry=registry, multiprocess_mode="livesum")
