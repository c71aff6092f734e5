"""`stockade locks`: holders and waiters of the locks of a Redis server, and breaking a lock.

It needs no more than the locks do, so its options are read by the standard library and its table is plain text:
`pip install 'stockade[redis]'` is enough. Neighbours: `stockade.__main__` calls `main`, as does the whole command line;
`stockade.locks.redis.scan` finds the locks in use; docs/locks.md explains the columns.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

from stockade.cli.advice import advice
from stockade.cli.exit_codes import FAILED, OK, UNUSABLE
from stockade.cli.output.lines import say
from stockade.cli.output.table import render, screen_width

if TYPE_CHECKING:
    from stockade.locks import LockInfo, RedisLocks
    from stockade.locks.engine.lock_request import Holder, Kind

    LockRow = tuple[Kind, LockInfo]

ABOUT = "Show who holds which lock of a Redis server and who waits for it, or break a lock."
EXITS = "Exit code 1: a lock that was to be broken was not held."
LOCAL = "redis://127.0.0.1:6379/0"
VARIABLE = "STOCKADE_REDIS"
MAX_SHOWN = 1_000
HEADS = ("lock", "kind", "held by", "token", "since", "time left", "metadata", "waiting, first in line first")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as the other commands do."""

    def error(self, message: str) -> NoReturn:
        """End the program with the reason."""
        self.exit(UNUSABLE, f"error: {message}; `{self.prog} -h` lists what there is\n")

    def options(self) -> dict[str, str]:
        """The long options, and what each is for."""
        long = ((name, each.help or "") for each in self._actions for name in each.option_strings)
        return {name: about for name, about in long if name.startswith("--")}


def parser() -> Parser:
    """The options."""
    options = Parser("stockade locks", description=ABOUT, epilog=EXITS, allow_abbrev=False)
    options.add_argument("names", nargs="*", metavar="NAME", help="Only these; default: all in use.")
    options.add_argument(
        "--redis",
        metavar="URL",
        default=os.environ.get(VARIABLE) or LOCAL,
        help=f"redis://, rediss:// or unix://; default: {VARIABLE}, else {LOCAL}.",
    )
    options.add_argument("--json", action="store_true", help="A document instead of a table.")
    options.add_argument(
        "--break", dest="broken", action="append", metavar="NAME", help="Take this lock from whoever holds it."
    )
    options.add_argument("--prefix", metavar="TEXT", help="Prefix of the names; default: that of RedisTuning.")
    options.add_argument("--cluster", action="store_true", help="The URL names a node of a Redis Cluster.")
    options.add_argument(
        "--max-keys",
        type=_count,
        default=1_000_000,
        metavar="COUNT",
        help="Look at no more keys of the server; default: 1000000.",
    )
    return options


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1, not {text!r}")
    return int(text)


def main(words: Sequence[str]) -> int:
    """Run the command; its exit code.

    Args:
        words: the command line after `stockade locks`.
    """
    chosen = parser().parse_args(words)
    from stockade.locks import LockError, RedisLocks, RedisTuning

    tuning = {"patience_s": 0.0} | ({} if chosen.prefix is None else {"prefix": chosen.prefix})
    try:
        with RedisLocks(chosen.redis, RedisTuning(**tuning), cluster=chosen.cluster) as provider:
            if chosen.broken:
                return _break(provider, chosen.broken)
            rows, complete = _rows(provider, chosen.names, chosen.max_keys)
    except (LockError, ValueError) as error:
        text, *_ = str(error).splitlines() or [""]
        sys.stderr.write(f"error: {text}{advice(text)}\n")
        return UNUSABLE
    (_print_json if chosen.json else _print_table)(rows, complete)
    return OK


def _break(provider: "RedisLocks", names: Sequence[str]) -> int:
    from stockade.locks.redis.scan import KINDS

    missed = False
    for name in names:
        kinds = [kind for kind in KINDS if provider.break_(name, kind)]
        _say(f"{name}: {'broken (' + ', '.join(kinds) + ')' if kinds else 'nobody held it'}")
        missed |= not kinds
    return FAILED if missed else OK


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _rows(provider: "RedisLocks", names: Sequence[str], max_keys: int) -> "tuple[list[LockRow], bool]":
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

    _say(json.dumps({"locks": [lock(*row) for row in rows], "complete": complete}, indent=2))


def _left(ttl_s: float) -> float | None:
    return None if ttl_s == math.inf else round(ttl_s, 3)


def _since(holder: "Holder") -> str:
    """The moment of the grant by the server's clock, and how long ago that was."""
    if holder.since is None or holder.held_s is None:
        return "unknown"
    return f"{datetime.fromtimestamp(holder.since, UTC):%Y-%m-%d %H:%M:%S} UTC, {holder.held_s:.1f} s ago"


def _print_table(rows: "list[LockRow]", complete: bool) -> None:
    table = []
    for kind, info in rows:
        held = info.holders
        cells = (
            [each.owner for each in held] or ["nobody"],
            [str(each.token) for each in held],
            [_since(each) for each in held],
            ["no end" if each.ttl_s == math.inf else f"{each.ttl_s:.1f} s" for each in held],
            [each.metadata for each in held],
        )
        table.append((info.name, kind, *cells, [*info.waiters]))
    _say(render(HEADS, table, width=screen_width(), right=("token",)) if table else "no lock is held or waited for")
    if not complete:
        say("this is not all: the search was ended by its bound; name locks, or raise --max-keys")
