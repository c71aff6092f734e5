"""What faults need of this machine, and why it is not there: strace, prlimit, libfaketime, a small file system.

Each function answers with the reason, which says what to install, or with the empty string. Neighbours: `needs.py` has
the names of needs, the other files of this folder use the tools.
"""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from stockade.devservers.programs import cache_folder

LIBRARY_VARIABLE = "STOCKADE_LIBFAKETIME"
_LIBRARY = "faketime/libfaketime.so.1"
_TRY_S = 10.0


@cache
def no_strace() -> str:
    """Why system calls of other processes cannot be delayed or failed here; empty if they can."""
    if shutil.which("strace") is None:
        return "strace is not installed: apt-get install strace"
    command = ["strace", "-f", "-q", "-o", os.devnull, "-e", "trace=fsync", "-p", str(os.getpid())]
    # a child that traces its parent: what faults do to a server that is no child of strace
    attached = [sys.executable, "-I", "-S", "-c", _ATTACH, *command]
    try:
        done = subprocess.run(attached, capture_output=True, text=True, timeout=_TRY_S, check=False)
    except subprocess.TimeoutExpired:
        return f"strace did not attach to a process within {_TRY_S:.0f} s"
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it ended"])[-1]
        return f"strace may not attach to processes ({said}): run as root, or set kernel.yama.ptrace_scope to 0"
    return ""


# Its child sleeps and is traced: this process itself must not stop. Ends with 0 once the kernel names a tracer.
_ATTACH = """
import pathlib, subprocess, sys, time
idle = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(10)"])
tracer = subprocess.Popen([*sys.argv[1:-1], str(idle.pid)])
end = time.monotonic() + 5
while tracer.poll() is None and time.monotonic() < end:
    if "TracerPid:\\t0\\n" not in pathlib.Path(f"/proc/{idle.pid}/status").read_text():
        break
    time.sleep(0.01)
found = tracer.poll() is None and time.monotonic() < end
tracer.kill(); idle.kill(); tracer.wait(); idle.wait()
sys.exit(not found)
"""


@cache
def no_prlimit() -> str:
    """Why limits of other processes cannot be changed here; empty if they can."""
    return "" if shutil.which("prlimit") else "prlimit is not installed: apt-get install util-linux"


@cache
def faketime_library() -> Path | None:
    """The shared library of libfaketime: named by an environment variable, of the system, or of an unpacked package."""
    if own := os.environ.get(LIBRARY_VARIABLE):
        return Path(own) if Path(own).is_file() else None
    roots = [Path("/usr/lib"), Path("/usr/local/lib"), cache_folder() / "debian" / "usr" / "lib"]
    found = [hit for root in roots for hit in sorted([*root.glob(_LIBRARY), *root.glob(f"*/{_LIBRARY}")])]
    return found[0] if found else None


def no_faketime() -> str:
    """Why the wall clock of a process cannot be moved here; empty if it can."""
    if faketime_library() is not None:
        return ""
    return f"libfaketime is not installed: apt-get install libfaketime, or set {LIBRARY_VARIABLE} to its .so file"


@cache
def no_small_disk() -> str:
    """Why no small file system can be mounted here; empty if it can."""
    if os.geteuid() != 0:
        return "only root can mount a small file system"
    for name in ("mount", "umount"):
        if shutil.which(name) is None:
            return f"{name} is not installed: apt-get install mount"
    return ""
