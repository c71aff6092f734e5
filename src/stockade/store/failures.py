"""What a database error means for the transaction that met it, told apart by the drivers' own codes."""

from enum import Enum

from sqlalchemy.exc import DBAPIError


class Failure(Enum):
    """The kinds of failure that `transact` treats differently."""

    CONFLICT = "conflict"  # serialization failure: another transaction won
    DEADLOCK = "deadlock"  # chosen as the victim
    TIMEOUT = "timeout"  # a lock did not come in time
    DUPLICATE = "duplicate"  # a unique key is taken
    DATA = "data"  # a CHECK, a foreign key or a value out of range: the command's own fault
    LOST = "lost"  # the connection or the server went away
    OTHER = "other"


_POSTGRES = {
    "40001": Failure.CONFLICT,
    "40P01": Failure.DEADLOCK,
    "55P03": Failure.TIMEOUT,  # lock_timeout
    "57014": Failure.TIMEOUT,  # statement_timeout
    "23505": Failure.DUPLICATE,
    "53300": Failure.LOST,  # too many connections
    "57P01": Failure.LOST,  # administrator shut the back end down
    "57P02": Failure.LOST,
    "57P03": Failure.LOST,  # cannot connect now
    "57P04": Failure.LOST,  # database dropped
    "57P05": Failure.LOST,  # idle session
    "25006": Failure.LOST,  # read only: a replica that is not promoted yet
    "25P03": Failure.LOST,  # idle in transaction
}
_POSTGRES_CLASS = {"08": Failure.LOST, "22": Failure.DATA, "23": Failure.DATA, "53": Failure.LOST, "58": Failure.LOST}

_MYSQL = {
    1213: Failure.DEADLOCK,
    1020: Failure.CONFLICT,  # record has changed since last read (innodb_snapshot_isolation)
    1205: Failure.TIMEOUT,
    1969: Failure.TIMEOUT,  # MariaDB max_statement_time
    3024: Failure.TIMEOUT,  # MySQL max_execution_time
    1317: Failure.TIMEOUT,  # somebody killed the query
    1062: Failure.DUPLICATE,
    1048: Failure.DATA,
    1366: Failure.DATA,
    1264: Failure.DATA,
    1406: Failure.DATA,
    1451: Failure.DATA,
    1452: Failure.DATA,
    3819: Failure.DATA,  # MySQL CHECK
    4025: Failure.DATA,  # MariaDB CHECK
    1690: Failure.DATA,
    0: Failure.LOST,  # asyncmy: not connected
    1040: Failure.LOST,
    1047: Failure.LOST,
    1158: Failure.LOST,
    1159: Failure.LOST,
    1160: Failure.LOST,
    1161: Failure.LOST,
    1290: Failure.LOST,  # read only
    1836: Failure.LOST,  # read only
    4031: Failure.LOST,  # MySQL 8: cut for having been idle
    1053: Failure.LOST,
    1927: Failure.LOST,  # killed
    2003: Failure.LOST,
    2006: Failure.LOST,
    2013: Failure.LOST,
    2014: Failure.LOST,
}

_SQLITE = {
    "SQLITE_BUSY": Failure.TIMEOUT,
    "SQLITE_LOCKED": Failure.TIMEOUT,
    "SQLITE_CONSTRAINT_UNIQUE": Failure.DUPLICATE,
    "SQLITE_CONSTRAINT_PRIMARYKEY": Failure.DUPLICATE,
    "SQLITE_CONSTRAINT_ROWID": Failure.DUPLICATE,
    "SQLITE_CONSTRAINT": Failure.DATA,
    "SQLITE_FULL": Failure.LOST,
    "SQLITE_IOERR": Failure.LOST,
    "SQLITE_CANTOPEN": Failure.LOST,
}


def classify(error: BaseException) -> Failure:
    """Tell what happened from a driver's error, wrapped by SQLAlchemy or not."""
    if isinstance(error, DBAPIError):
        if error.connection_invalidated:
            return Failure.LOST
        return classify(error.orig) if error.orig is not None else Failure.OTHER
    if error.args and isinstance(error.args[0], int) and error.args[0] in _MYSQL:
        return _MYSQL[error.args[0]]  # before the SQLSTATE, which asyncmy has too, and coarser
    sqlstate = getattr(error, "sqlstate", None)
    if isinstance(sqlstate, str):
        return _POSTGRES.get(sqlstate) or _POSTGRES_CLASS.get(sqlstate[:2], Failure.OTHER)
    name = getattr(error, "sqlite_errorname", None)
    if isinstance(name, str):
        return _by_prefix(name)
    driver = type(error).__module__.partition(".")[0] in ("asyncpg", "asyncmy", "sqlalchemy", "sqlite3")
    if isinstance(error, OSError) or (driver and "connection" in str(error).lower()):
        # asyncpg and asyncmy report a cut connection as an InterfaceError without a code
        return Failure.LOST
    if error.__cause__ is not None and error.__cause__ is not error:
        return classify(error.__cause__)
    return Failure.OTHER


def _by_prefix(name: str) -> Failure:
    """SQLite's extended names: the longest known prefix decides."""
    while name:
        if name in _SQLITE:
            return _SQLITE[name]
        name = name.rpartition("_")[0]
    return Failure.OTHER
