"""The wall clock of a service process jumps by a minute, ahead or back; its monotonic clock does not.

libfaketime reads the distance from a file, so the jump happens in a running process. The process is started under it
at the first injection. No negative control has to fail here: leases count on the monotonic clock. Under libfaketime
0.9.10 with an untouched monotonic clock `time.sleep` of CPython raises EINVAL (it waits by clock_nanosleep until a
time): a service process must wait in another way.
"""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from stockade.devservers.workdir import OwnedFolder
from stockade.lab.errors import LabError
from stockade.lab.faults.pieces import choose, is_held_away, replace, replace_missing
from stockade.lab.faults.possible import make_fault
from stockade.lab.recording.fault import PROCESSES, Disturbed
from stockade.lab.site.needs import FAKETIME
from stockade.lab.site.tools import faketime_library, no_faketime

JUMP_S = 60
START_WAIT_S = 20.0
LOAD_WAIT_S, LOAD_POLL_S = 2.0, 0.01
DISTANCE = "distance"  # name of the file that says how far


def environment(distance: Path) -> dict[str, str]:
    """Variables of a process whose wall clock is moved by what the file says, e.g. `+60`.

    Raises:
        LabError: libfaketime is not installed; the message says how to install it.
    """
    library = faketime_library()
    if library is None:
        raise LabError(no_faketime())
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(distance),
        "FAKETIME_NO_CACHE": "1",  # otherwise it reads the file every ten seconds
        "DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # its name in later versions
    }


def set_distance(file: Path, seconds: int) -> None:
    """Move the clock of the processes that read this file; readers see the old or the new distance, whole."""
    new = file.with_suffix(".new")
    new.write_text(f"{seconds:+d}\n")
    new.rename(file)


async def jump(disturbed: Disturbed, *, seconds: int, fault: str) -> Sequence[str]:
    """Start a process under libfaketime, and move its wall clock when it serves.

    Args:
        disturbed: has the processes.
        seconds: how far.
        fault: its name: each fault has a process of its own.
    """
    process = choose(disturbed, disturbed.processes)
    if process is None:
        return ()
    folder = await asyncio.to_thread(OwnedFolder, "clock")
    file = folder.path / DISTANCE
    disturbed.disturbances.clocks[fault] = (process, folder)
    set_distance(file, 0)
    await replace(disturbed, process, environment(file))
    if not await process.group.serves(process.number, START_WAIT_S):
        disturbed.note(f"{process.name} did not serve under libfaketime within {START_WAIT_S:.0f} s")
        return ()
    if not await _has_loaded(process.pid, str(faketime_library())):
        disturbed.note(f"{process.name} runs without libfaketime")
        return ()
    set_distance(file, seconds)
    return (f"{process.name}, {seconds:+d} s",)


async def _has_loaded(pid: int, library: str) -> bool:
    """Whether the process has the library; one that has just begun is given a moment to load it."""
    deadline_s = time.monotonic() + LOAD_WAIT_S
    while library not in _maps(pid):
        if time.monotonic() > deadline_s:
            return False
        await asyncio.sleep(LOAD_POLL_S)
    return True


def _maps(pid: int) -> str:
    """What the process has mapped; empty for one that has ended."""
    try:
        return Path(f"/proc/{pid}/maps").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


async def restore(disturbed: Disturbed, *, fault: str) -> None:
    """Move it back, and start the process anew without libfaketime."""
    moved = disturbed.disturbances.clocks.pop(fault, None)
    if moved is not None:
        process, folder = moved
        if (folder.path / DISTANCE).exists():
            set_distance(folder.path / DISTANCE, 0)
        if is_held_away(disturbed, process):  # whoever has killed it starts it again, with the clock of the others
            process.group.set_environment(process.number, {})
        else:
            await replace(disturbed, process, {})
            disturbed.expect(*process)
        await asyncio.to_thread(folder.close)
    await replace_missing(disturbed)


FAULTS = tuple(
    make_fault(
        f"clock-{word}",
        f"the wall clock of a service process jumps {JUMP_S} s {word}",
        partial(jump, seconds=seconds, fault=f"clock-{word}"),
        partial(restore, fault=f"clock-{word}"),
        needs=frozenset({FAKETIME}),
        touches=(PROCESSES,),
        needs_service=True,
    )
    for word, seconds in (("ahead", JUMP_S), ("back", -JUMP_S))
)
