"""On which machine a sweep is measured: enough to tell it from another one of the same kind.

Neighbours: `sweep_file.py` refuses to go on elsewhere; `reporting/environment.py` has what every document says.
"""

import hashlib
import os
import platform
from pathlib import Path
from typing import Final

from stockade.core import JsonValue

MACHINE_ID: Final = Path("/etc/machine-id")
CPU: Final = Path("/proc/cpuinfo")
ID_DIGITS: Final = 16


def machine(machine_id: Path = MACHINE_ID, cpu: Path = CPU) -> dict[str, JsonValue]:
    """Its id, hashed, the model of its processor, and its memory in GiB; empty: the system does not say it.

    Args:
        machine_id: file with the id. It is secret, so only a hash for this purpose is kept (machine-id(5)).
        cpu: file with the model of the processor.
    """
    own = _read(machine_id).strip()
    models = [line.partition(":")[2].strip() for line in _read(cpu).splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "machine": hashlib.sha256(f"stockade sweep {own}".encode()).hexdigest()[:ID_DIGITS] if own else "",
        "cpu_model": models[0] if models else platform.processor(),
        "memory_gib": round(memory / 2**30),
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # a container without an id, another system: the other members have to tell machines apart
        return ""
