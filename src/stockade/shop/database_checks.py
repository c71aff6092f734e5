"""Checks of a database before a command uses it: its file, its schema, the rights of its user.

Only a database that stockade alone uses (the default file, or one in memory) is migrated without `stockade migrate`.
Neighbours: `shop.migrations` is the schema; `store.schema.rights` knows the rights.
"""

import contextlib
import os
from functools import partial
from pathlib import Path

from stockade.core.secrets import hide_password
from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.config.strategy_choice import in_memory
from stockade.shop.migrations import SCHEMA, SHOP
from stockade.store import Database, Schema
from stockade.store.engine.registry import read_url
from stockade.store.schema.migrate import Revisions, has_store_tables, shown
from stockade.store.schema.rights import missing_rights

_NEWER = "which a newer version of stockade has made: use that version or a later one"


def make_folder(settings: Settings) -> None:
    """Create the folder of the default SQLite file, and the file: both for their owner only.

    SQLite gives the files that it makes beside it the same rights.

    Raises:
        BadSetting: one of them cannot be created.
    """
    if not settings.uses_default_database:
        return
    path = Path(read_url(settings.database_url).url.database or "")
    try:
        settings.state_path.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileExistsError):  # closing a file that was there would release the locks of SQLite
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        text = f"cannot make {path}: {error.strerror}"
        raise BadSetting(f"{settings.with_source('state_dir')}: {text}") from None


async def require_schema(
    settings: Settings, database: Database, schema: Schema | None = None, *, app: str = "", newer_ok: bool = False
) -> None:
    """Refuse a database whose schema is not current, and a missing SQLite file, which an open would create.

    Args:
        settings: those in force.
        database: open.
        schema: of the application; default: the shop's.
        app: how `--app` named the application, for the command to run; empty: the shop.
        newer_ok: a schema that a newer version has made will do: the process replaces one that runs already.

    Raises:
        BadSetting: the message names the command to run.
    """
    check_file(settings, app=app)
    schema = schema or SCHEMA
    revisions, wanted = await schema.revisions(database), schema.newest()
    if revisions == wanted or (newer_ok and schema.can_serve(revisions)):
        return
    _refuse_newer(settings, schema, revisions)
    found, unseen = f"schema {shown(revisions)}, not {shown(wanted)}", ""
    to_make = f"run: {_migrate(settings, app)}"
    if schema is SCHEMA and not revisions[SHOP.name] and await database.read(has_store_tables):
        found = "no tables of the shop, but a store's"
        to_make = f"name the application that it belongs to with --app; or, to add the shop's tables, {to_make}"
    elif not any(revisions.values()):
        found = f"no schema, not {shown(wanted)}"
        unseen = " (if that was done: this user may not see its tables, or another schema is searched)"
    url = hide_password(settings.database_url)
    raise BadSetting(f"{settings.with_source('database')}: {url} has {found}; {to_make}{unseen}")


async def require_writable(
    settings: Settings, database: Database, schema: Schema | None = None, *, app: str = "", newer_ok: bool = False
) -> None:
    """Refuse a database whose schema is not current, or on which this user lacks a right that orders need.

    The parameters are those of `require_schema`.

    Raises:
        BadSetting: the message names the command to run, or the missing right.
    """
    await require_schema(settings, database, schema, app=app, newer_ok=newer_ok)
    tables = (schema or SCHEMA).tables
    missing = await database.read(partial(missing_rights, tables=tables), timeout_s=settings.wait_s)
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise BadSetting(f"{settings.with_source('database')}: {missing[0]}{more}")


async def require_known(settings: Settings, database: Database, schema: Schema | None = None) -> None:
    """Refuse a schema that a newer program has made.

    Raises:
        BadSetting: the schema is newer.
    """
    schema = schema or SCHEMA
    _refuse_newer(settings, schema, await schema.revisions(database))


def _refuse_newer(settings: Settings, schema: Schema, revisions: Revisions) -> None:
    for name, revision in schema.unknown(revisions).items():
        url = hide_password(settings.database_url)
        raise BadSetting(f"{settings.with_source('database')}: {url} has {name} schema {revision}, {_NEWER}")


def check_file(settings: Settings, *, may_make: bool = False, app: str = "") -> None:
    """Refuse a SQLite file that does not exist, which an open would create, and a folder in its place.

    This function does not open the file: closing it would release the locks of this process's SQLite connections
    (https://sqlite.org/howtocorrupt.html, 2.2). SQLite itself refuses a file that is no database.

    Args:
        settings: of any database; only SQLite files are checked.
        may_make: a missing file is allowed if its folder exists.
        app: see `require_schema`.

    Raises:
        BadSetting: the file cannot be used, or the URL is unusable.
    """
    try:
        url = read_url(settings.database_url).url
    except ValueError as error:
        raise BadSetting(f"{settings.with_source('database')}: {error}") from None
    if url.drivername != "sqlite" or in_memory(settings):
        return
    path = Path(url.database or "").absolute()
    if path.is_dir():
        wrong = f"{path} is a folder, not a file"
    elif path.exists():
        wrong = ""
    elif not may_make:
        wrong = f"no such database file: {path}; is the path right? To make it run: {_migrate(settings, app)}"
    else:
        wrong = (
            "" if path.parent.is_dir() else f"no such folder: {path.parent}; is the path right? Else make the folder"
        )
    if wrong:
        raise BadSetting(f"{settings.with_source('database')}: {wrong}")


def _migrate(settings: Settings, app: str) -> str:
    """The command that brings this database up to date."""
    return f"stockade migrate{f' --app {app}' if app else ''}{' --database URL' if settings.database else ''}"


async def ensure_schema(settings: Settings, database: Database, *, newer_ok: bool = False) -> None:
    """Migrate the default file or a database in memory; refuse any other database that is not ready.

    Several processes may do this at the same time: one migrates, the others wait and find nothing to do.

    Args:
        settings: those in force.
        database: open.
        newer_ok: see `require_schema`.

    Raises:
        BadSetting: as `require_writable`.
    """
    make_folder(settings)
    own = settings.uses_default_database or in_memory(settings)
    if own and not (newer_ok or await SCHEMA.is_current(database)):
        await SCHEMA.migrate(database)
    await require_writable(settings, database, newer_ok=newer_ok)
