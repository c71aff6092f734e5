"""Prepares a server's process before its program runs: drop root, raise the file limit, end with the parent.

`launch.py` runs it as a script: `python -I -S child.py '{"uid": …}' program argv0 argument…`. A `preexec_fn` would not
do, because Python code between fork and exec can hang in a process with threads.
"""

import ctypes
import json
import os
import resource
import sys

PR_SET_PDEATHSIG = 1


def prepare(uid: int | None, gid: int, parent: int, death_signal: int, open_files: int) -> None:
    """Raise the open-file limit as far as possible, drop root, and let the kernel signal the parent's end."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if os.geteuid() == 0 and hard < open_files:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (open_files, open_files))
        except (ValueError, OSError):  # a container may forbid it: then the hard limit is the maximum
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    else:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(open_files, hard)), hard))
    if uid is not None:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":  # after setuid, which clears it
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:  # the parent ended before the line above
            sys.exit("the parent process is gone")


if __name__ == "__main__":
    prepare(**json.loads(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[3:])  # noqa: S606 - becoming the server is what this script is for
