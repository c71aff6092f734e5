"""A private PgBouncer before a private PostgreSQL. Neighbours: `process.py` runs it, `home.py` gives it a folder."""

import os
from pathlib import Path

from stockade.devservers.errors import ServerUnavailable
from stockade.devservers.launch import Program
from stockade.devservers.process import HOST, Recipe, Server
from stockade.devservers.programs import find_program, unpacked
from stockade.devservers.workdir import Home

KIND = "pgbouncer"


def find() -> Program:
    """PgBouncer's program.

    Raises:
        ServerUnavailable: there is none; the message says what to install.
    """
    program = find_program("STOCKADE_PGBOUNCER_BIN", (KIND,), unpacked(f"usr/sbin/{KIND}"))
    if program is None:
        raise ServerUnavailable("no PgBouncer: apt-get install pgbouncer")
    return program


def recipe(
    home: Home, program: Program, folder: Path, port: int, *, target: Server, settings: dict[str, object]
) -> Recipe:
    """How to run it: every database of the server, for its user, without a password.

    Args:
        home: of the group.
        program: PgBouncer's.
        folder: of this one.
        port: where it is to listen.
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
    if home.user:
        os.chown(ini, home.user.uid, home.user.gid)
    return Recipe(
        kind=KIND,
        program=program,
        arguments=(str(ini),),
        port=port,
        url=f"postgresql://stockade@{HOST}:{port}/postgres",
        ready="process up",
    )
