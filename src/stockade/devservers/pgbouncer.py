"""A private PgBouncer for a private PostgreSQL. Neighbours: `process.py` runs it, `workdir.py` makes its folder."""

import os
from pathlib import Path

from stockade.devservers.errors import ServerUnavailable
from stockade.devservers.launch import Program
from stockade.devservers.process import HOST, Server, ServerSpec
from stockade.devservers.programs import find_program, unpacked
from stockade.devservers.workdir import WorkDir

KIND = "pgbouncer"


def find() -> Program:
    """PgBouncer's program.

    Raises:
        ServerUnavailable: it is not installed; the message says what to install.
    """
    program = find_program("STOCKADE_PGBOUNCER_BIN", (KIND,), unpacked(f"usr/sbin/{KIND}"))
    if program is None:
        raise ServerUnavailable("no PgBouncer: apt-get install pgbouncer")
    return program


def spec(
    workdir: WorkDir, program: Program, folder: Path, port: int, *, target: Server, settings: dict[str, object]
) -> ServerSpec:
    """How to run it: every database of the server, for its user, without a password.

    Args:
        workdir: of the group.
        program: PgBouncer's.
        folder: of this server.
        port: to listen on.
        target: the PostgreSQL behind it.
        settings: of `pgbouncer.ini`, e.g. `pool_mode="session"`.
    """
    base: dict[str, object] = {
        "listen_addr": HOST,
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": "transaction",
    }
    lines = [f"{name} = {value}" for name, value in {**base, **settings}.items()]
    ini = folder / "pgbouncer.ini"
    ini.write_text(
        "\n".join(["[databases]", f"* = host={HOST} port={target.port} user=stockade", "[pgbouncer]", *lines, ""])
    )
    if workdir.user:
        os.chown(ini, workdir.user.uid, workdir.user.gid)
    return ServerSpec(
        kind=KIND,
        program=program,
        arguments=(str(ini),),
        port=port,
        url=f"postgresql://stockade@{HOST}:{port}/postgres",
        ready="process up",
    )
