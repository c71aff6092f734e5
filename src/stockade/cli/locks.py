"""`stockade locks`: holders and waiters of the locks of a Redis server, and breaking a lock.

Neighbours: `stockade.locks.redis.scan` finds the locks in use; docs/locks.md explains the columns.
"""

import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from stockade.cli.common import FAILED, console, fail

if TYPE_CHECKING:
    from stockade.locks import LockInfo, RedisLocks
    from stockade.locks.engine.lock_request import Holder, Kind

    LockRow = tuple[Kind, LockInfo]

MAX_SHOWN = 1_000


def locks(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="Only these; default: all in use.")
    ] = None,
    *,
    redis: Annotated[
        str, typer.Option("--redis", metavar="URL", envvar="STOCKADE_REDIS", help="redis://, rediss:// or unix://.")
    ] = "redis://127.0.0.1:6379/0",
    as_json: Annotated[bool, typer.Option("--json", help="A document instead of a table.")] = False,
    broken: Annotated[
        list[str] | None, typer.Option("--break", metavar="NAME", help="Take this lock from whoever holds it.")
    ] = None,
    prefix: Annotated[str, typer.Option(help="Prefix of the names, as in RedisTuning.")] = "stockade:",
    cluster: Annotated[bool, typer.Option("--cluster", help="The URL names a node of a Redis Cluster.")] = False,
    max_keys: Annotated[int, typer.Option(min=1, help="Look at no more keys of the server.")] = 1_000_000,
) -> None:
    """Show who holds which lock of a Redis server and who waits for it, or break a lock.

    Exit code 1: a lock that was to be broken was not held.
    """
    from stockade.locks import LockError, RedisLocks, RedisTuning

    try:
        with RedisLocks(redis, RedisTuning(prefix=prefix, patience_s=0.0), cluster=cluster) as provider:
            if broken:
                _break(provider, broken)
            else:
                rows, complete = _rows(provider, names or [], max_keys)
                (_print_json if as_json else _print_table)(rows, complete)
    except (LockError, ValueError) as error:
        raise fail(f"locks: {error}") from None


def _break(provider: "RedisLocks", names: list[str]) -> None:
    from stockade.locks.redis.scan import KINDS

    missed = []
    for name in names:
        kinds = [kind for kind in KINDS if provider.break_(name, kind)]
        typer.echo(f"{name}: {'broken (' + ', '.join(kinds) + ')' if kinds else 'nobody held it'}")
        missed += [] if kinds else [name]
    if missed:
        raise typer.Exit(FAILED)


def _rows(provider: "RedisLocks", names: list[str], max_keys: int) -> "tuple[list[LockRow], bool]":
    """The locks to be shown, and whether these are all."""
    if names:
        return [row for name in names for row in _named(provider, name)], True
    found = provider.scan(max_keys)
    shown = [(kind, provider.inspect(name, kind)) for kind, name in found.found[:MAX_SHOWN]]
    in_use = [(kind, info) for kind, info in shown if info.holders or info.waiters]  # some were released meanwhile
    return in_use, found.complete and len(found.found) <= MAX_SHOWN


def _named(provider: "RedisLocks", name: str) -> "list[LockRow]":
    """Every kind of lock of this name that is in use, or the free mutex."""
    from stockade.locks.redis.scan import KINDS

    all_kinds = [(kind, provider.inspect(name, kind)) for kind in KINDS]
    return [row for row in all_kinds if row[1].holders or row[1].waiters] or all_kinds[:1]


def _print_json(rows: "list[LockRow]", complete: bool) -> None:
    def lock(kind: str, info: "LockInfo") -> dict[str, Any]:
        holders = [
            {
                "owner": each.owner,
                "token": each.token,
                "since": each.since,
                "held_s": each.held_s,
                "left_s": _left(each.ttl_s),
                "metadata": each.metadata,
            }
            for each in info.holders
        ]
        return {"name": info.name, "kind": kind, "holders": holders, "waiters": list(info.waiters)}

    typer.echo(json.dumps({"locks": [lock(*row) for row in rows], "complete": complete}, indent=2))


def _left(ttl_s: float) -> float | None:
    return None if ttl_s == math.inf else round(ttl_s, 3)


def _since(holder: "Holder") -> str:
    """The moment of the grant by the server's clock, and how long ago that was."""
    if holder.since is None or holder.held_s is None:
        return "unknown"
    return f"{datetime.fromtimestamp(holder.since, UTC):%Y-%m-%d %H:%M:%S} UTC, {holder.held_s:.1f} s ago"


def _print_table(rows: "list[LockRow]", complete: bool) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("lock", "kind", "held by", "token", "since", "time left", "metadata", "waiting, first in line first")
    for kind, info in rows:
        held = info.holders
        cells = [
            [each.owner for each in held] or ["nobody"],
            [str(each.token) for each in held],
            [_since(each) for each in held],
            ["no end" if each.ttl_s == math.inf else f"{each.ttl_s:.1f} s" for each in held],
            [each.metadata for each in held],
        ]
        texts = [info.name, kind, *("\n".join(cell) for cell in cells), "\n".join(info.waiters)]
        table.add_row(*map(Text, texts))  # as text: a name in [brackets] is no markup
    stdout = console(pipe_width=200)
    stdout.print(table if rows else "no lock is held or waited for")
    if not complete:
        stdout.print("this is not all: the search was ended by its bound; name locks, or raise --max-keys")
