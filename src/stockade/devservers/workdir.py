"""Temporary folders with an owner: that of one group of private servers, with the unprivileged user they run as.

The process that makes a folder holds a file lock in it. A folder whose lock is free belongs to a process that was
killed, and the next one that makes a folder removes it. A process id would not do instead of the lock: ids are reused,
and mean nothing across containers that share /tmp. A folder without a lock is not touched, as `stockade-metrics-…` of
`serve`. Neighbours: the lab and races keep their own files in such folders too.
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
_UNMOUNT_LIMIT_S = 10.0
_MOST_SWEPT = 200  # folders at a time; the rest is removed the next time


class OwnedFolder:
    """A temporary folder `stockade-KIND-…` of this process; if the process is killed, the next one removes it.

    What is mounted in it must be mounted right below it: then a sweep unmounts it.

    Args:
        kind: what for, a word; empty: `stockade-…`.
        base: where to make it; the system's temporary folder by default. It is swept first.

    Attributes:
        path: of the folder, which only its owner can read.
    """

    def __init__(self, kind: str = "", base: Path | None = None) -> None:
        base = base or Path(tempfile.gettempdir())
        sweep(base)
        self.path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{kind}{'-' if kind else ''}", dir=base))
        self._owner = _claim(self.path)

    def close(self) -> None:
        """Remove it with everything in it. Does nothing the second time."""
        if self._owner >= 0:
            # a file that a dying process still writes is removed by the next sweep
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._owner)
            self._owner = -1


class WorkDir:
    """A folder for all servers of a group, readable by the user they run as.

    Args:
        base: where to make it; the system's temporary folder by default. Benchmarks name a real disk.
    """

    def __init__(self, base: Path | None = None) -> None:
        self.user = _unprivileged()
        self.base = base or _temporary(self.user)
        self._folder = OwnedFolder(base=self.base)
        self.path = self._folder.path
        self.path.chmod(0o755)  # 0700 would shut out the unprivileged user
        self._count = 0
        self._lock = Lock()

    def new_folder(self, kind: str) -> Path:
        """Create a folder for one server, owned by the user it runs as."""
        with self._lock:
            self._count += 1
            path = self.path / f"{kind}-{self._count}"
            self.make_folder(path)
        return path

    def make_folder(self, path: Path) -> Path:
        """Create a folder inside, owned by the user the servers run as."""
        path.mkdir(mode=0o700)
        if self.user:
            os.chown(path, self.user.uid, self.user.gid)
        return path

    def accessible(self, program: Program) -> Program:
        """`program`, or a copy in this folder if the user the servers run as cannot read it (a wheel under /root).

        The copy includes its installation (the folder above `bin` or `sbin`) and a wheel's shared libraries.
        """
        if _open_to_others(program.path, self.user):
            return program
        beside = (parent.with_name(f"{parent.name}.libs") for parent in program.path.parents if parent.name)
        for tree in (program.path.parents[1], *(folder for folder in beside if folder.is_dir())):
            self.accessible_tree(tree)
        libraries = program.libraries and self._copy_of(program.libraries)
        return Program(self._copy_of(program.path), program.name, libraries)

    def accessible_tree(self, tree: Path) -> Path:
        """`tree`, or a copy in this folder if the user the servers run as cannot read it."""
        if _open_to_others(tree, self.user):
            return tree
        copy = self._copy_of(tree)
        with self._lock:
            if not copy.exists():
                shutil.copytree(tree, copy, symlinks=True)
        return copy

    def _copy_of(self, path: Path) -> Path:
        """Where the copy goes. It keeps its whole path, so that relative paths between copies stay right."""
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
        output = done.stdout.decode(errors="replace")
        if done.returncode:
            raise ServerFailed(f"{program.path} ended with {done.returncode}:\n{output[-2_000:]}")
        return output

    def close(self) -> None:
        """Remove the folder. The servers in it must have ended."""
        self._folder.close()


def sweep(base: Path) -> None:
    """Kill the servers of processes that were killed, and remove their folders, `_MOST_SWEPT` at most.

    Folders of processes that live stay, and so do those without an owner's lock: nobody knows whose they are.
    """
    swept = 0
    for folder in base.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # it is being made or removed this moment, or belongs to another user
            owner = os.open(folder / "owner", os.O_RDWR)
            try:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for pid in _working_in(folder):
                    os.kill(pid, signal.SIGKILL)
                _unmount_in(folder)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(owner)
            swept += 1
        if swept == _MOST_SWEPT:
            return


def _unmount_in(folder: Path) -> None:
    """Unmount what its owner has mounted right below it: a file system of the lab that can be filled."""
    for place in folder.iterdir():
        if place.is_mount():
            with suppress(OSError, subprocess.SubprocessError):  # then it is emptied, and stays
                command = ["umount", "--lazy", str(place)]
                subprocess.run(command, capture_output=True, timeout=_UNMOUNT_LIMIT_S, check=True)


def _claim(folder: Path) -> int:
    """Lock a file and then rename it to `owner`: otherwise a sweep in between would find it unlocked."""
    owner = os.open(folder / "owner.new", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(owner, fcntl.LOCK_EX)
    (folder / "owner.new").rename(folder / "owner")
    return owner


def _working_in(folder: Path) -> Iterator[int]:
    """Processes whose working directory is in `folder`, e.g. a backend that was paused when its parents were killed."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended this moment, or belongs to another user
            if (process / "cwd").readlink().is_relative_to(folder):
                yield int(process.name)


def _unprivileged() -> User | None:
    """`nobody` if this process is root: PostgreSQL refuses to run as root, and the others need no root."""
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
