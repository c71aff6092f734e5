"""PostgreSQL's `initdb` runs once for each process of tests: every private server after that gets a copy of its folder.

It takes most of the start of a server. Only processes of tests do so: a lab in a process of its own calls `initdb`.
Neighbour: `conftest.py` puts it in the place of `stockade.devservers.postgres.create`.
"""

import shutil
from pathlib import Path
from threading import Lock

from stockade.devservers import postgres
from stockade.devservers.launch import Program
from stockade.devservers.workdir import WorkDir
from tests.devservers.pool import memory_folder

CREATE = postgres.create


class PostgresTemplate:
    """Data directories by the program that made them, in a folder of their own."""

    def __init__(self):
        self._workdir, self._made, self._lock = None, {}, Lock()

    def create(self, workdir, program, folder):
        """As `postgres.create`."""
        copy = shutil.which("cp")
        if copy is None:
            return CREATE(workdir, program, folder)
        with self._lock:
            self._workdir = self._workdir or WorkDir(memory_folder())
            if program.path not in self._made:
                made = self._workdir.new_folder(postgres.KIND)
                CREATE(self._workdir, program, made)
                self._made[program.path] = made
        workdir.run(Program(Path(copy)), ["-R", str(self._made[program.path] / "data"), str(folder / "data")])
        return workdir.accessible(program)

    def close(self):
        """Remove them."""
        if self._workdir is not None:
            self._workdir.close()
