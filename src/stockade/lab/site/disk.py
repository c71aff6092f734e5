"""The disk under a server, or under the processes that write a SQLite file: full, slow or failing, and healthy again.

A full disk is a small file system that is filled where one can be mounted (root). Elsewhere it is a limit of the size
of files (RLIMIT_FSIZE) for running processes: writes beyond it fail with EFBIG. Neighbours: `system_calls.py` has the
tracer, `tools.py` says what is missing.
"""

import asyncio
import os
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from stockade.devservers.workdir import OwnedFolder
from stockade.lab.errors import LabError
from stockade.lab.site import system_calls
from stockade.lab.site.system_calls import SystemCallFault

SMALL_DISK_BYTES = 256 * 2**20
FULL_AT_BYTES = 4_096  # smaller than any file of a server: each write that extends a file or its log fails
RUN_LIMIT_S = 10.0
_FILLER = "filler"

Pids = Callable[[], Sequence[int]]


class SmallDisk:
    """A file system in RAM, of a fixed size. `unmount` removes it with everything in it.

    If this process is killed, the next one that makes a folder removes it (`devservers.workdir`).

    Attributes:
        path: where it is mounted.
    """

    def __init__(self) -> None:
        self._folder = OwnedFolder("disk", Path("/tmp"))  # noqa: S108 - the folder made in it is private
        self.path = self._folder.path / "fs"
        try:
            self._folder.path.chmod(0o755)  # servers run as another user
            self.path.mkdir()
            _run(["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_BYTES},mode=755", "stockade-disk", str(self.path)])
        except BaseException:
            self._folder.close()
            raise

    def fill(self) -> None:
        """Leave no free byte. What is allocated already can still be written."""
        block = bytes(2**16)
        with (self.path / _FILLER).open("ab", buffering=0) as file, suppress(OSError):
            for _ in range(SMALL_DISK_BYTES // len(block) + 1):
                file.write(block)

    def free(self) -> None:
        """Undo `fill`."""
        (self.path / _FILLER).unlink(missing_ok=True)

    def unmount(self) -> None:
        """Remove it; its servers must have ended."""
        with suppress(LabError):  # a process still has a file open in it: the kernel removes it with the last one
            _run(["umount", "--lazy", str(self.path)])
        self._folder.close()


class Disk:
    """What faults do to the disk of some processes. `restore` ends all of it.

    A server that another fault kills or starts meanwhile is let go for that and seized again when it answers.

    Args:
        small: the file system that the data is on; None: the usual one.
    """

    def __init__(self, small: SmallDisk | None = None) -> None:
        self.small = small
        self._filled: Pids | None = None
        self._traced: tuple[Pids, str] | None = None
        self._calls = SystemCallFault()
        self._busy = asyncio.Lock()  # a process can be replaced, and seized, while its disk is healed

    async def fill(self, pids: Pids) -> tuple[str, ...]:
        """From now on no file can grow.

        Args:
            pids: the processes that write.

        Returns:
            What was hit: the file system, or the processes whose files have a limit; nothing if none runs.

        Raises:
            LabError: the limit could not be set.
        """
        async with self._busy:
            self._filled = pids
            return await self._fill(pids)

    async def slow(self, pids: Pids, delay_s: float) -> tuple[str, ...]:
        """Each flush takes longer from now on, by so many seconds.

        Returns:
            The processes that were hit; nothing if none runs.

        Raises:
            LabError: a process could not be traced.
        """
        async with self._busy:
            return await self._trace(pids, system_calls.slow(delay_s))

    async def fail(self, pids: Pids) -> tuple[str, ...]:
        """Each flush fails from now on; the rest is that of `slow`."""
        async with self._busy:
            return await self._trace(pids, system_calls.FAILING)

    async def restore(self) -> str:
        """Heal it. Does nothing to a healthy disk.

        Returns:
            That the tracer had ended before, with its processes or by itself; usually empty.

        Raises:
            LabError: a limit could not be lifted.
        """
        async with self._busy:
            lost = self._traced is not None and self._calls.has_ended
            await self._let_go()
            self._traced = self._filled = None
            return "strace had ended before the healing" if lost else ""

    async def let_go(self) -> None:
        """Leave the processes alone until `seize`, because one of them is to end or to start.

        Raises:
            LabError: a limit could not be lifted.
        """
        async with self._busy:
            await self._let_go()

    async def _let_go(self) -> None:
        await self._calls.end()
        if self.small is not None:
            await asyncio.to_thread(self.small.free)
        elif self._filled is not None:
            await asyncio.to_thread(limit_files, self._filled(), None)

    async def seize(self) -> None:
        """Do to the processes that run now what faults have begun and not healed; usually nothing.

        Raises:
            LabError: a process could not be traced, or the limit not be set.
        """
        async with self._busy:
            if self._filled is not None:
                await self._fill(self._filled)
            if self._traced is not None:
                await self._trace(*self._traced)

    async def _fill(self, pids: Pids) -> tuple[str, ...]:
        if self.small is not None:
            await asyncio.to_thread(self.small.fill)
            return (f"file system {self.small.path}",)
        hit = pids()
        await asyncio.to_thread(limit_files, hit, FULL_AT_BYTES)
        return named(hit)

    async def _trace(self, pids: Pids, what: str) -> tuple[str, ...]:
        self._traced, hit = (pids, what), pids()
        if hit:
            await self._calls.begin(hit, what)
        return named(hit)


def named(pids: Sequence[int]) -> tuple[str, ...]:
    """The processes of one server for the fault log: the first stands for all; none: nothing."""
    more = f" and {len(pids) - 1} more" if len(pids) > 1 else ""
    return (f"process {pids[0]}{more}",) if pids else ()


def limit_files(pids: Sequence[int], max_bytes: int | None) -> None:
    """Set the soft limit of the size of files of running processes, or lift it; those that have ended are left out.

    Raises:
        LabError: the system refused; the message is prlimit's.
    """
    soft = "unlimited" if max_bytes is None else str(max_bytes)
    for pid in pids:
        with suppress(FileNotFoundError):
            process = Path(f"/proc/{pid}")
            # as the owner, because changing processes of others takes more than being root in some containers
            _run(["prlimit", "--pid", str(pid), f"--fsize={soft}:"], process.stat(), ended=process)


def _run(command: list[str], owner: os.stat_result | None = None, ended: Path | None = None) -> None:
    other = owner if owner is not None and owner.st_uid != os.geteuid() else None
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=RUN_LIMIT_S,
            check=False,
            user=other.st_uid if other else None,
            group=other.st_gid if other else None,
            extra_groups=[] if other else None,
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{command[0]} took longer than {RUN_LIMIT_S:.0f} s") from error
    if done.returncode and (ended is None or ended.exists()):
        raise LabError(f"{' '.join(command)}: {done.stderr.strip() or f'ended with {done.returncode}'}")
