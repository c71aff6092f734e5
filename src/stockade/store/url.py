"""Database URLs as people write them -> URLs with the driver this library uses."""

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

DRIVERS = {
    "sqlite": "sqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "mysql": "mysql+asyncmy",
    "mariadb": "mariadb+asyncmy",
}


def parse_url(text: str) -> URL:
    """`postgresql://u@h/db` -> the same URL with driver `asyncpg`, and so on for every supported database.

    Args:
        text: `sqlite://` (memory, one process), `sqlite:///file`, `postgresql://…`, `mariadb://…` or `mysql://…`.

    Raises:
        ValueError: not a URL, or a database that is not supported; the message names those that are.
    """
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise ValueError(f"not a database URL: {text!r}; expected e.g. postgresql://user@host/name") from error
    family = url.drivername.partition("+")[0]
    if family not in DRIVERS:
        raise ValueError(f"unknown database {family!r}; supported: sqlite, postgresql, mariadb, mysql")
    url = url.set(drivername=DRIVERS[family])
    if family in ("mysql", "mariadb") and "charset" not in url.query:
        url = url.update_query_dict({"charset": "utf8mb4"})
    return url
