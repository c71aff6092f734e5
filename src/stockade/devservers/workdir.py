"""The temporary folder of one group of private servers, and the unprivileged user they run as.

Whoever made a folder holds a file lock in it. A folder whose lock is free belongs to a process that was killed: the
next group sweeps it. A lock and not a process id, because ids are used again and mean nothing across containers that
share /tmp.
"""

import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock

from stockade.devservers.errors import ServerFailed
from stockade.devservers.launch import Program, User

_PREFIX = "stockade-"
_SOCKET_PATH_LIMIT = 60  # a unix socket's path holds 107 bytes; ours adds less than 40
_RUN_LIMIT_S = 120.0


class Home:
    """A folder that every server of the group can reach.

    Args:
        base: where to make it; the system's temporary folder by default. Benchmarks name a real disk.
    """

    def __init__(self, base: Path | None = None) -> None:
        self.user = _unprivileged()
        self.base = base or _temporary(self.user)
        sweep(self.base)
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self.base))
        self.path.chmod(0o755)  # mkdtemp's 0700 would shut out the unprivileged user
        self._owner = _claim(self.path)
        self._count = 0
        self._lock = Lock()

    def folder(self, kind: str) -> Path:
        """A new folder for one server, owned by the user it runs as."""
        with self._lock:
            self._count += 1
            path = self.path / f"{kind}-{self._count}"
            self.make(path)
        return path

    def make(self, path: Path) -> Path:
        """Create a folder inside, owned by the user the servers run as."""
        path.mkdir(mode=0o700)
        if self.user:
            os.chown(path, self.user.uid, self.user.gid)
        return path

    def adopt(self, program: Program) -> Program:
        """`program`, or a copy in here when the user the servers run as cannot reach it (a wheel under /root).

        Copied are its installation (the folder above `bin` or `sbin`) and a wheel's folder of shared libraries.
        """
        if _open_to_others(program.path, self.user):
            return program
        beside = (parent.with_name(f"{parent.name}.libs") for parent in program.path.parents if parent.name)
        for tree in (program.path.parents[1], *(folder for folder in beside if folder.is_dir())):
            self.bring(tree)
        libraries = program.libraries and self._copy_of(program.libraries)
        return Program(self._copy_of(program.path), program.name, libraries)

    def bring(self, tree: Path) -> Path:
        """`tree`, or its copy in here when the user the servers run as cannot read it."""
        if _open_to_others(tree, self.user):
            return tree
        copy = self._copy_of(tree)
        with self._lock:
            if not copy.exists():
                shutil.copytree(tree, copy, symlinks=True)
        return copy

    def _copy_of(self, path: Path) -> Path:
        """Copies keep their whole path, so that what refers to a neighbour by `..` finds it."""
        return self.path / "copies" / path.relative_to(path.anchor)

    def run(self, program: Program, arguments: Sequence[str], stdin: bytes = b"") -> str:
        """Run a program such as `initdb` to its end, as the user the servers run as.

        Returns:
            What it printed.

        Raises:
            ServerFailed: it ended with an error or took longer than two minutes.
        """
        user = self.user
        try:
            done = subprocess.run(
                [str(program.path), *arguments],
                input=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self.path,
                env=program.environment,
                timeout=_RUN_LIMIT_S,
                check=False,
                user=user.uid if user else None,
                group=user.gid if user else None,
                extra_groups=[] if user else None,
            )
        except subprocess.TimeoutExpired as error:
            raise ServerFailed(f"{program.path} took longer than {_RUN_LIMIT_S} s") from error
        said = done.stdout.decode(errors="replace")
        if done.returncode:
            raise ServerFailed(f"{program.path} ended with {done.returncode}:\n{said[-2_000:]}")
        return said

    def close(self) -> None:
        """Remove the folder. The servers in it must have ended."""
        shutil.rmtree(self.path, ignore_errors=True)  # what a dying process still writes is left to the next sweep
        os.close(self._owner)


def sweep(base: Path) -> None:
    """End what still runs in the folders of killed processes, and remove the folders."""
    for folder in base.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # being made or removed this moment, or another user's
            owner = os.open(folder / "owner", os.O_RDWR)
            try:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for pid in _working_in(folder):
                    os.kill(pid, signal.SIGKILL)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(owner)


def _claim(folder: Path) -> int:
    """Lock first, then give the name: a sweep between the two would find an unlocked owner."""
    owner = os.open(folder / "owner.new", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(owner, fcntl.LOCK_EX)
    (folder / "owner.new").rename(folder / "owner")
    return owner


def _working_in(folder: Path) -> Iterator[int]:
    """Processes whose working folder lies in `folder`, e.g. a backend that was paused when its parents were killed."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # ended this moment, or not ours to look at
            if (process / "cwd").readlink().is_relative_to(folder):
                yield int(process.name)


def _unprivileged() -> User | None:
    """`nobody` when we are root: PostgreSQL refuses root, and the others have no need of it."""
    if os.geteuid() != 0:
        return None
    account = pwd.getpwnam("nobody")
    return User(account.pw_uid, account.pw_gid)


def _temporary(user: User | None) -> Path:
    usual = Path(tempfile.gettempdir())
    fits = len(str(usual)) <= _SOCKET_PATH_LIMIT and _open_to_others(usual, user)
    return usual if fits else Path("/tmp")  # noqa: S108 - the folder made in it is private


def _open_to_others(path: Path, user: User | None) -> bool:
    if user is None:
        return True
    path = path.resolve()
    return all(step.stat().st_mode & 0o001 for step in (path, *path.parents))
