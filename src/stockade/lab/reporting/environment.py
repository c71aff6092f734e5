"""The environment of a run, on which its times depend. It is printed below each table and stored in each document.

Neighbour: `checkout.py` says which commit runs; it is a part of the version.
"""

import os
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

from sqlalchemy import Connection

from stockade.core import JsonValue
from stockade.lab.reporting.checkout import local_version
from stockade.lab.targets.target_database import TargetDatabase

ANSWER_WAIT_S = 5.0


async def describe(target: TargetDatabase) -> dict[str, JsonValue]:
    """Versions, machine, database, isolation and date of a run."""
    deadline = time.monotonic() + ANSWER_WAIT_S
    database_version, isolation = await target.admin_database.transaction(_database, deadline=deadline)
    machine = describe_machine()
    date = machine.pop("date")
    return {
        **machine,
        "database": target.name,
        "database_version": database_version,
        "isolation": isolation,
        "date": date,
    }


def describe_machine() -> dict[str, JsonValue]:
    """Versions, machine and date, of a run over several databases."""
    return {
        "stockade": _own_version(),
        "python": platform.python_version(),
        "os": platform.platform(),
        "cpu_count": os.cpu_count(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _database(connection: Connection) -> tuple[str, str]:
    info = connection.dialect.server_version_info or ()
    return ".".join(str(part) for part in info), connection.get_isolation_level()


def _own_version() -> str:
    try:
        return version("stockade") + local_version()
    except PackageNotFoundError:
        return "not installed"
