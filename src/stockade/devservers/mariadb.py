"""A private MariaDB. Neighbours: `process.py` runs it, `workdir.py` provides its folder and its user."""

from pathlib import Path

from stockade.devservers.errors import ServerFailed, ServerUnavailable
from stockade.devservers.launch import Program
from stockade.devservers.process import HOST, ServerSpec
from stockade.devservers.programs import find_program, unpacked
from stockade.devservers.workdir import WorkDir

KIND = "mariadb"
_SYSTEM_TABLES = ("system_tables.sql", "performance_tables.sql", "system_tables_data.sql")  # mysql_…, later mariadb_…


def find() -> Program:
    """MariaDB's server program.

    Raises:
        ServerUnavailable: it is not installed; the message says what to install.
    """
    program = find_program("STOCKADE_MARIADB_BIN", ("mariadbd",), unpacked("usr/sbin/mariadbd"))
    if program is None:
        raise ServerUnavailable("no MariaDB: apt-get install mariadb-server-core")
    return program


def create(workdir: WorkDir, program: Program, folder: Path) -> Program:
    """Create the data directory as mariadb-install-db does, without its shell script, and one user without password.

    Returns:
        The program to run on it.

    Raises:
        ServerFailed: the package's SQL files are missing.
    """
    program = workdir.accessible(program)
    share = _share(program)
    scripts = [next(share.glob(f"m*_{name}")) for name in _SYSTEM_TABLES]
    data = workdir.make_folder(folder / "data")
    workdir.make_folder(data / "mysql")
    workdir.make_folder(_temporary(folder))
    statements = [
        "set @auth_root_socket=NULL, @skip_auth_anonymous=1;",
        "use mysql;",
        *(script.read_text() for script in scripts),
        "flush privileges;",
        "create user stockade@'%';",
        "grant all on *.* to stockade@'%' with grant option;",
        "create database stockade character set utf8mb4;",
        "",
    ]
    options = [
        "--no-defaults",
        "--bootstrap",
        f"--datadir={data}",
        f"--tmpdir={_temporary(folder)}",
        f"--lc-messages-dir={share}",
        "--skip-log-bin",
        "--innodb-fast-shutdown=1",
    ]
    workdir.run(program, options, stdin="\n".join(statements).encode())
    return program


def spec(program: Program, folder: Path, port: int, durable: bool, settings: dict[str, object]) -> ServerSpec:
    """How to run it. Without `durable` (2: written at commit, not flushed) a killed server still loses nothing."""
    base: dict[str, object] = {
        "bind_address": HOST,
        "skip_name_resolve": 1,
        "character_set_server": "utf8mb4",
        "innodb_buffer_pool_size": "64M",
        "innodb_log_file_size": "32M",
        "innodb_flush_log_at_trx_commit": 1 if durable else 2,
    }
    fast = {} if durable else {"innodb_doublewrite": 0, "innodb_flush_method": "nosync"}
    return ServerSpec(
        kind=KIND,
        program=program,
        arguments=(
            "--no-defaults",
            f"--datadir={folder / 'data'}",
            f"--tmpdir={_temporary(folder)}",
            f"--socket={folder / 'socket'}",
            f"--pid-file={folder / 'pid'}",
            f"--lc-messages-dir={_share(program)}",
            f"--port={port}",
            *(f"--{name}={value}" for name, value in {**base, **fast, **settings}.items()),
        ),
        port=port,
        url=f"mariadb://stockade@{HOST}:{port}/stockade",
        ready="ready for connections",
    )


def _temporary(folder: Path) -> Path:
    """Each server has its own, because a starting MariaDB removes all temporary tables that it finds."""
    return folder / "tmp"


def _share(program: Program) -> Path:
    """The folder of messages and SQL files: `share/mysql` up to MariaDB 10, `share/mariadb` later."""
    for name in ("mariadb", "mysql"):
        folder = program.path.parents[1] / "share" / name
        if list(folder.glob(f"m*_{_SYSTEM_TABLES[0]}")):
            return folder
    raise ServerFailed(f"{program.path} is there, but not the SQL files of its package")
