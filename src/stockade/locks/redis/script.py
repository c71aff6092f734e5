"""Lua scripts from the `scripts` folder, sent by hash; sent whole when a server has lost them (SCRIPT FLUSH)."""

import functools
import hashlib
from importlib import resources
from typing import Any, NoReturn

from stockade.locks.errors import LockError, LockUnavailable
from stockade.locks.redis.transport.replies import may_heal
from stockade.locks.redis.transport.transport import Server, ServerError

_REPLY_LISTS = frozenset(("mutex_renew", "mutex_inspect", "shared_inspect", "existing", "types"))
_OLDEST = "6.2"  # the first with SET … GET
# What older ones say to that SET, to LPOS, and to a write after TIME; none of our scripts makes a newer one say so.
_TOO_OLD = ("syntax error", "Unknown Redis command", "non deterministic commands")
_FIRST = {"mutex_common": "next_fence", "shared_common": "next_fence"}  # what a shared head needs before it
_LOCK_TYPES = ("string", "list", "string", "string")  # of a lock's keys, in the order of `key_names.Names`
_SHARED_TYPES = ("zset", "list", "string", "hash")


class Script:
    """One script with its shared head.

    Args:
        *files: names in the `scripts` folder without ending, joined in this order.
    """

    def __init__(self, *files: str) -> None:
        folder = resources.files("stockade.locks.redis").joinpath("scripts")
        parts = (_FIRST[files[0]], *files) if files[0] in _FIRST else files
        self.text = "\n".join(folder.joinpath(f"{name}.lua").read_text(encoding="utf-8") for name in parts)
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        self.reply_type: type = list if files[-1] in _REPLY_LISTS else int
        self._types = _SHARED_TYPES if files[0] == "shared_common" else _LOCK_TYPES
        self._only_texts = files[0] in ("mutex_renew", "raise_fence")

    async def run(self, server: Server, keys: tuple[str, ...], args: tuple[str | int, ...], timeout_s: float) -> Any:
        """Run it with these keys and arguments.

        Raises:
            LockUnavailable: no answer in time, or the server cannot serve now.
            LockError: the server refused for a reason that will not pass.
        """
        try:
            reply = await server.call("EVALSHA", self.sha, len(keys), *keys, *args, timeout_s=timeout_s)
        except ServerError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise await self.refusal(server, keys, error, timeout_s) from error
            try:
                reply = await server.call("EVAL", self.text, len(keys), *keys, *args, timeout_s=timeout_s)
            except ServerError as again:
                raise await self.refusal(server, keys, again, timeout_s) from again
        return reply if type(reply) is self.reply_type else await refuse(server, reply)

    async def refusal(self, server: Server, keys: tuple[str, ...], error: ServerError, timeout_s: float) -> LockError:
        """The error that the caller gets: it names the key, and its type, where another program uses the key."""
        said = str(error)
        if said.startswith("FOREIGN "):
            return LockError(_foreign(said.removeprefix("FOREIGN "), "string"))
        if "WRONGTYPE" in said:
            types = await script("types").run(server, keys, (), timeout_s)
            for number, (key, found) in enumerate(zip(keys, map(_text, types), strict=True)):
                if found not in ("none", "string" if self._only_texts else self._types[number]):
                    return LockError(_foreign(key, found))
        return translated(error)


class Prepared:
    """A call of a script of which only the first argument, the owner, changes; its bytes are made once.

    Args:
        what: the script.
        keys: its keys.
        args: its arguments after the first.
    """

    __slots__ = ("_after", "_args", "_before", "_keys", "_script")

    def __init__(self, what: Script, keys: tuple[str, ...], args: tuple[str | int, ...]) -> None:
        self._script, self._keys, self._args = what, keys, args
        before: tuple[str | int, ...] = ("EVALSHA", what.sha, len(keys), *keys)
        self._before = b"*%d\r\n" % (len(before) + 1 + len(args)) + b"".join([_packed(part) for part in before])
        self._after = b"".join([_packed(part) for part in args])

    async def run(self, server: Server, owner: str, timeout_s: float) -> Any:
        """As `Script.run`, with `owner` as the first argument."""
        send = server.call_packed
        if send is None:
            return await self._script.run(server, self._keys, (owner, *self._args), timeout_s)
        name = owner.encode()
        try:
            reply = await send(b"%b$%d\r\n%b\r\n%b" % (self._before, len(name), name, self._after), timeout_s)
        except ServerError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise await self._script.refusal(server, self._keys, error, timeout_s) from error
            return await self._script.run(server, self._keys, (owner, *self._args), timeout_s)
        return reply if type(reply) is self._script.reply_type else await refuse(server, reply)


def _foreign(key: str, found: str) -> str:
    return (
        f"the key {key!r} holds a {found} that is no lock: another program uses it. Choose another name, or another "
        "prefix for all locks"
    )


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _packed(part: str | int) -> bytes:
    data = str(part).encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)


async def refuse(server: Server, reply: Any) -> NoReturn:
    """Refuse a reply of an unexpected type: it comes from another program, or belongs to another call.

    Raises:
        LockUnavailable: always; the connection is given up.
    """
    await server.distrust()
    raise LockUnavailable(f"lock server: an unexpected reply of type {type(reply).__name__}")


def translated(error: ServerError) -> LockError:
    """The error that a caller gets for a server's refusal: LockUnavailable where a repeat may succeed."""
    text = str(error)
    if text.startswith("MOVED "):
        return LockError("lock server: it is a node of a Redis Cluster: RedisLocks(url, cluster=True)")
    if any(words in text for words in _TOO_OLD):
        return LockError(f"lock server: it is too old, the locks need Redis {_OLDEST} or Valkey; it says: {text}")
    return LockUnavailable(f"lock server: {text}") if may_heal(text) else LockError(f"lock server: {text}")


@functools.cache
def script(*files: str) -> Script:
    """The script made of these files, read once."""
    return Script(*files)
