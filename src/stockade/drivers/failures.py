"""The classification of database errors by the codes of the drivers: the one place where an error gets a kind.

Used by the store, the locks, and by this layer while it connects. Errors that SQLAlchemy has wrapped are taken out of
their wrapping by its attributes, so that nothing here imports it.
"""

import asyncio
import re
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum

from stockade.core import StockadeError
from stockade.core.secrets import hide_password


class Failure(Enum):
    """The kinds of failure that callers treat differently."""

    CONFLICT = "conflict"  # serialization failure: another transaction won
    DEADLOCK = "deadlock"  # chosen as the victim
    TIMEOUT = "timeout"  # a lock did not come in time
    DUPLICATE = "duplicate"  # a unique key is taken
    DATA = "data"  # a CHECK, a foreign key or a value out of range: the command's own fault
    LOST = "lost"  # the connection is of no more use: ask again on a new one
    REFUSED = "refused"  # wrong password, missing database or right: asking again changes nothing
    OTHER = "other"


class ConnectFailed(ConnectionError):
    """A server was not reached, did not answer in time, or answered in another protocol."""


class AccessRefused(Exception):
    """The server answered, and refuses this user, password, database, certificate or parameter."""


_POSTGRES = {
    "40001": Failure.CONFLICT,
    "40P01": Failure.DEADLOCK,
    "55P03": Failure.TIMEOUT,  # lock_timeout
    "57014": Failure.TIMEOUT,  # statement_timeout
    "23505": Failure.DUPLICATE,
    "57P01": Failure.LOST,  # administrator shut the back end down
    "57P02": Failure.LOST,
    "57P03": Failure.LOST,  # cannot connect now
    "57P04": Failure.LOST,  # database dropped
    "57P05": Failure.LOST,  # idle session
    "25006": Failure.LOST,  # read only: a replica that is not promoted yet
    "25P03": Failure.LOST,  # idle in transaction
    "55000": Failure.LOST,  # a replica again: recovery is in progress
    "0A000": Failure.LOST,  # and again: no SERIALIZABLE there; also a statement whose cached plan no longer fits
    "26000": Failure.LOST,  # a prepared statement that is not there: another session than the one it was made in
    "42P05": Failure.LOST,  # or there already
    "3D000": Failure.REFUSED,  # no such database
    "3F000": Failure.REFUSED,  # no such schema
    "42501": Failure.REFUSED,  # a right is missing
}
_POSTGRES_CLASS = {
    "08": Failure.LOST,
    "22": Failure.DATA,
    "23": Failure.DATA,
    "28": Failure.REFUSED,  # user, password, pg_hba.conf
    "53": Failure.LOST,  # among them 53300, too many connections
    "58": Failure.LOST,
}
# PgBouncer gives 08P01 to everything; these of its messages no repetition changes
_POOLER_REFUSES = re.compile(
    r"startup parameter|no such (user|database)|authentication failed|password|does not exist|pooling mode",
    re.IGNORECASE,
)

_READ_ONLY = (1290, 1792, 1836)
_MYSQL = {
    1213: Failure.DEADLOCK,
    1020: Failure.CONFLICT,  # record has changed since last read (innodb_snapshot_isolation)
    1205: Failure.TIMEOUT,
    3572: Failure.TIMEOUT,  # MySQL NOWAIT; MariaDB's is 1205
    1969: Failure.TIMEOUT,  # MariaDB max_statement_time
    3024: Failure.TIMEOUT,  # MySQL max_execution_time
    1317: Failure.TIMEOUT,  # somebody killed the query
    1062: Failure.DUPLICATE,
    **dict.fromkeys((1048, 1366, 1264, 1406, 1451, 1452, 1690), Failure.DATA),
    3819: Failure.DATA,  # MySQL CHECK
    4025: Failure.DATA,  # MariaDB CHECK
    0: Failure.LOST,  # asyncmy: not connected
    **dict.fromkeys((1040, 1203, 1226), Failure.LOST),  # too many connections: of the server, of a user
    **dict.fromkeys((1042, 1043, 1047, 1053, 1080, 1129, 1135, 1152, 1184), Failure.LOST),  # 1129: host is blocked
    **dict.fromkeys((1156, 1157, 1158, 1159, 1160, 1161), Failure.LOST),  # packets that do not arrive
    **dict.fromkeys(_READ_ONLY, Failure.LOST),  # a replica that is not promoted yet
    **dict.fromkeys((1021, 1026, 1030, 1114, 1180), Failure.LOST),  # the disk is full or fails; 1180: at the commit
    4031: Failure.LOST,  # MySQL 8: cut for having been idle
    1927: Failure.LOST,  # killed
    **dict.fromkeys((2002, 2003, 2005, 2006, 2012, 2013, 2014, 2026, 2027, 2055), Failure.LOST),  # the client's own
    **dict.fromkeys((1044, 1045, 1698, 1130, 1251, 1820, 1862, 3118, 4151), Failure.REFUSED),  # user, password, host
    **dict.fromkeys((1046, 1049), Failure.REFUSED),  # no database named, no such database
    **dict.fromkeys((1142, 1143, 1227, 1370, 1410), Failure.REFUSED),  # a right is missing
    **dict.fromkeys((2059, 2061, 3159), Failure.REFUSED),  # a way to authenticate; TLS is wanted
}

_DID_NOTHING = ("25006", "55000", "0A000", "26000", "42P05")

_SQLITE = {
    "SQLITE_BUSY": Failure.TIMEOUT,
    "SQLITE_LOCKED": Failure.TIMEOUT,
    "SQLITE_INTERRUPT": Failure.TIMEOUT,  # stopped by our own limit of its time
    "SQLITE_CONSTRAINT_UNIQUE": Failure.DUPLICATE,
    "SQLITE_CONSTRAINT_PRIMARYKEY": Failure.DUPLICATE,
    "SQLITE_CONSTRAINT_ROWID": Failure.DUPLICATE,
    "SQLITE_CONSTRAINT": Failure.DATA,
    "SQLITE_FULL": Failure.LOST,
    "SQLITE_IOERR": Failure.LOST,
    "SQLITE_CANTOPEN": Failure.LOST,
    "SQLITE_READONLY": Failure.REFUSED,
    "SQLITE_NOTADB": Failure.REFUSED,
    "SQLITE_PERM": Failure.REFUSED,
    "SQLITE_AUTH": Failure.REFUSED,
}

_MYSQL_DRIVERS = ("asyncmy", "aiomysql", "pymysql")
_DRIVERS = (*_MYSQL_DRIVERS, "asyncpg", "aiosqlite", "sqlalchemy", "sqlite3")
_NO_TABLE = ("42P01", 1146)  # PostgreSQL, MariaDB and MySQL
# the name is all that is common: relation "schema.name", Table 'database.name', no such table: schema.name
_TABLE_NAME = re.compile(r"(?:relation |Table |no such table: )[\"']?(?:[^\"'\s]*\.)?([^\"'.\s]+)")
# RuntimeError: what uvloop and asyncmy say of a transport that was closed a moment ago
_CLOSED = re.compile(r"unable to perform operation on|handler is closed|Transport does not expose|Event loop is closed")


def classify(error: BaseException) -> Failure:
    """What happened, from a driver's error, wrapped by SQLAlchemy or not."""
    if getattr(error, "connection_invalidated", False):
        return Failure.LOST
    wrapped = getattr(error, "orig", None)
    if isinstance(wrapped, BaseException):
        return classify(wrapped)
    coded = _by_code(error)
    if coded is not None:
        return coded
    if isinstance(error, AccessRefused | ssl.SSLCertVerificationError):
        return Failure.REFUSED
    if _is_lost(error):
        return Failure.LOST
    if error.__cause__ is not None and error.__cause__ is not error:
        return classify(error.__cause__)
    return Failure.OTHER


def _by_code(error: BaseException) -> Failure | None:
    """By the number, the SQLSTATE or the name that a driver gives; None where it gives none."""
    first = error.args[0] if error.args else None
    from_mysql = _module(error) in _MYSQL_DRIVERS or getattr(error, "mysql_errno", None) is not None
    if from_mysql and isinstance(first, int) and first in _MYSQL:
        if isinstance(error.__cause__, ssl.SSLCertVerificationError):
            return Failure.REFUSED
        return _MYSQL[first]  # before the SQLSTATE, which asyncmy has too, and coarser
    sqlstate = getattr(error, "sqlstate", None)
    if isinstance(sqlstate, str):
        if sqlstate == "08P01" and _POOLER_REFUSES.search(str(error)):
            return Failure.REFUSED
        return _POSTGRES.get(sqlstate) or _POSTGRES_CLASS.get(sqlstate[:2], Failure.OTHER)
    name = getattr(error, "sqlite_errorname", None)
    return _by_prefix(name) if isinstance(name, str) else None


def _module(error: BaseException) -> str:
    """The package that the error's class comes from."""
    return type(error).__module__.partition(".")[0]


def _is_lost(error: BaseException) -> bool:
    """Whether an error without a code means that the connection is lost, or that its bytes make no sense."""
    if isinstance(error, OSError | EOFError | struct.error):  # a greeting that is cut short is a struct.error
        return True
    if isinstance(error, RuntimeError):
        return bool(_CLOSED.search(str(error)))
    if _module(error) not in _DRIVERS:
        return False
    # asyncpg and asyncmy report a cut connection as an InterfaceError, and broken packets as an internal error
    return "connection" in str(error).lower() or type(error).__name__ in ("InternalError", "InternalClientError")


def _by_prefix(name: str) -> Failure:
    """SQLite's extended names: the longest known prefix decides."""
    while name:
        if name in _SQLITE:
            return _SQLITE[name]
        name = name.rpartition("_")[0]
    return Failure.OTHER


def refused_whole(error: BaseException) -> bool:
    """Whether the server says by this error that it has done nothing of what was asked, although the connection is of
    no more use: a commit that meets it has not happened."""
    wrapped = getattr(error, "orig", None)
    if isinstance(wrapped, BaseException):
        return refused_whole(wrapped)
    return getattr(error, "sqlstate", None) in _DID_NOTHING or bool(error.args and error.args[0] in _READ_ONLY)


def missing_table(error: BaseException) -> str:
    """The name of the table that a statement did not find, without its schema; empty for every other error."""
    wrapped = getattr(error, "orig", None)
    if isinstance(wrapped, BaseException):
        return missing_table(wrapped)
    first = error.args[0] if error.args else None
    if getattr(error, "sqlstate", None) not in _NO_TABLE and first not in _NO_TABLE:
        cause = error.__cause__
        if _module(error) != "sqlite3" or not str(error).startswith("no such table"):
            return "" if cause is None or cause is error else missing_table(cause)
    found = _TABLE_NAME.search(str(error))
    return found[1] if found else ""


def describe(error: BaseException) -> str:
    """The text of a driver's error: one line, without SQLAlchemy's wrapping and without passwords."""
    wrapped = getattr(error, "orig", None)
    if isinstance(wrapped, BaseException):
        return describe(wrapped)
    if type(error).__module__.startswith("sqlalchemy") and error.__cause__ is not None:
        return describe(error.__cause__)
    if len(error.args) == 2 and isinstance(error.args[0], int):
        text = f"{error.args[1]} ({error.args[0]})"
    else:
        text = str(error) or type(error).__name__
    line = " ".join(text.split())
    return hide_password(line) if "://" in line else line


# OpenSSL's X509_V_ERR_… (x509_vfy.h)
_UNKNOWN_ISSUER, _OTHER_HOST = (2, 18, 19, 20, 21), (62, 64)


def _distrust(error: BaseException, authorities: str) -> str | None:
    """Why this client does not accept the server's certificate; None where that is not what happened."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__
    if cause is None:
        return None
    if cause.verify_code in _UNKNOWN_ISSUER:
        whose = f"in {authorities}" if authorities else "that is trusted here"
        return f"its certificate is not from an authority {whose}"
    if cause.verify_code in _OTHER_HOST:
        return "its certificate does not name this host: use a name in the URL that it has"
    return f"its certificate is not accepted here: {cause.verify_message}"


@asynccontextmanager
async def reaching(kind: str, place: str, limit_s: float, authorities: str = "") -> AsyncIterator[None]:
    """Bound what connects to a server, and say in one line why it did not.

    Args:
        kind: of the server, for the message.
        place: of the server, for the message.
        limit_s: longest time in seconds.
        authorities: the file of those whose certificates are accepted, for the message; empty: the machine's own.

    Raises:
        ConnectFailed: no server, no answer in time, or no server of this kind; trying again later may help.
        AccessRefused: user, password, database, certificate or a parameter; trying again does not help.
        StockadeError: raised by a check of the new connection.
    """
    try:
        async with asyncio.timeout(limit_s):
            yield
    except (ConnectFailed, AccessRefused, StockadeError):
        raise  # its text is complete
    except TimeoutError as error:
        raise ConnectFailed(f"{kind} at {place} gave no connection within {limit_s:g} s") from error
    except Exception as error:
        if said := _distrust(error, authorities):
            raise AccessRefused(f"{kind} at {place}: {said}") from error
        # whatever it was: while a connection is made every error means that there is none
        if classify(error) is Failure.REFUSED:
            raise AccessRefused(f"{kind} at {place} refuses: {describe(error)}") from error
        raise ConnectFailed(f"{kind} at {place} gave no connection: {describe(error)}") from error
