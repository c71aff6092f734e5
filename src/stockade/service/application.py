"""An application: everything that stockade must know of it, as one value that programs find by name.

`stockade worker`, `stockade audit` and `stockade lab` take `--app`, which is `MODULE:ATTRIBUTE` or the name of an entry
point in the group `stockade.applications`. Neighbours: `service` opens it.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from stockade.service.audit.general import audit
from stockade.service.audit.rule_types import Rule, Violation
from stockade.service.command_codec import CommandCodec
from stockade.store import STORE_SCHEMA, Resource, Schema, StoreTables
from stockade.store.schema.tables import DEFAULT

Check = Callable[..., list[Violation]]
GROUP = "stockade.applications"


class UnknownApplication(ValueError):
    """No application of this name can be imported; the message says what was tried."""


@dataclass(frozen=True, slots=True)
class Application:
    """What an application consists of.

    Attributes:
        name: in messages.
        resources: what each kind of key means in SQL.
        codec: writes and reads its commands for the log; only the strategy `kafka`, its workers and the lab need it.
        tables: the names of the store's tables in its database, where they have a prefix or a schema.
        schema: its tables with the store's: `Schema(STORE, History(…))`. Needed by the lab and `stockade migrate`.
        partition_kind: kind of the keys by which `kafka` distributes commands; empty: the smallest key of each command.
        own_queues: groups of commands that wait in a queue of their own, under a strategy that has one: their rows are
            seldom those of the other groups, and a batch with both would read more of them while the others wait.
        rules: of the audit, beside those that hold for every resource (`stockade.service.audit`).
        check: replaces the audit by the application's own: called with a connection and `limit`, the most violations
            that one rule reports. None: the general rules and `rules`.
        presets: where the lab finds its presets, `MODULE:ATTRIBUTE`; empty: it has none. A text, so that a program that
            serves does not import the lab.
    """

    name: str
    resources: Sequence[Resource]
    codec: CommandCodec = field(default_factory=CommandCodec)
    schema: Schema = STORE_SCHEMA
    tables: StoreTables = DEFAULT
    partition_kind: str = ""
    rules: Sequence[Rule] = ()
    check: Check | None = None
    presets: str = ""
    own_queues: Sequence[str] = ()

    def __post_init__(self) -> None:
        kinds = [each.kind for each in self.resources]
        if not kinds:
            raise ValueError(f"the application {self.name} needs at least one resource")
        if self.partition_kind and self.partition_kind not in kinds:
            known = ", ".join(kinds)
            raise ValueError(f"{self.name}: partition_kind {self.partition_kind!r} is no kind; there are: {known}")

    def audit(self, connection: Connection, *, limit: int = 20) -> list[Violation]:
        """Check that the database is sound.

        Args:
            connection: to read on.
            limit: the most violations that one rule reports.

        Returns:
            The violations; empty where all rules hold.
        """
        if self.check is not None:
            return self.check(connection, limit=limit)
        return audit(connection, self.resources, self.rules, limit=limit, tables=self.tables)


def find_application(text: str) -> Application:
    """Import an application.

    Args:
        text: `MODULE:ATTRIBUTE`, e.g. `coupons.application:APPLICATION`, also in the current folder; or the name of an
            entry point in the group `stockade.applications`.

    Raises:
        UnknownApplication: it cannot be imported, or is none.
    """
    if ":" not in text:
        text = _entry_point(text)
    found = find_attribute(text)
    if not isinstance(found, Application):
        raise UnknownApplication(f"{text} is a {type(found).__name__}, which must be a stockade.service.Application")
    return found


def find_attribute(text: str) -> Any:
    """Import `MODULE:ATTRIBUTE`.

    Raises:
        UnknownApplication: it is not written so, or there is no such module or attribute.
        Exception: what the module raises while it is imported.
    """
    module, colon, attribute = text.partition(":")
    if not (module and colon and attribute):
        raise UnknownApplication(f"{text!r} must be MODULE:ATTRIBUTE, e.g. coupons.application:APPLICATION")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # as `python -m` does: a project need not be installed to be tried
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise UnknownApplication(f"{text}: it imports {error.name}, which is not installed") from error
        raise UnknownApplication(f"{text}: {error}; install the project, or start in its folder") from error
    try:
        return getattr(found, attribute)
    except AttributeError as error:
        raise UnknownApplication(f"{text}: {error}") from error


def _entry_point(name: str) -> str:
    known = {each.name: each.value for each in entry_points(group=GROUP)}
    if name not in known:
        there = f"installed are: {', '.join(sorted(known))}" if known else "none is installed"
        raise UnknownApplication(f"no application {name!r}: {there}; or name it as MODULE:ATTRIBUTE")
    return known[name]
