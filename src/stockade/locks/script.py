"""Lua scripts from the `scripts` folder, sent by hash and reloaded when a server has forgotten them (SCRIPT FLUSH)."""

import functools
import hashlib
from importlib import resources
from typing import Any

from stockade.locks.errors import LockError, LockUnavailable
from stockade.locks.port import Server, ServerError

# Errors of a server that is there but cannot serve now; everything else is a mistake and is shown as such.
_PASSING = ("LOADING", "READONLY", "MISCONF", "OOM", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "NOREPLICAS")


class Script:
    """One script with its shared head.

    Args:
        *files: names in the `scripts` folder without ending, joined in this order.
    """

    def __init__(self, *files: str) -> None:
        folder = resources.files("stockade.locks").joinpath("scripts")
        self.text = "\n".join(folder.joinpath(f"{name}.lua").read_text(encoding="utf-8") for name in files)
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, server: Server, keys: tuple[str, ...], args: tuple[str | int, ...], timeout_s: float) -> Any:
        """Run it with these keys and arguments.

        Raises:
            LockUnavailable: no answer in time, or the server cannot serve now.
            LockError: the server refused for a reason that will not pass.
        """
        try:
            return await server.call("EVALSHA", self.sha, len(keys), *keys, *args, timeout_s=timeout_s)
        except ServerError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise _translated(error) from error
        try:
            return await server.call("EVAL", self.text, len(keys), *keys, *args, timeout_s=timeout_s)
        except ServerError as error:
            raise _translated(error) from error


def _translated(error: ServerError) -> LockError:
    text = str(error)
    return LockUnavailable(f"lock server: {text}") if text.startswith(_PASSING) else LockError(f"lock server: {text}")


@functools.cache
def script(*files: str) -> Script:
    """The script made of these files, read once."""
    return Script(*files)
