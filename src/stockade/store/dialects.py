"""Which database is spoken to how: a new one is one file and one row here."""

from collections.abc import Awaitable, Callable

from sqlalchemy.engine import URL

from stockade.core import NotSupported
from stockade.store import mysql, postgres, sqlite
from stockade.store.backends import Backend
from stockade.store.url import Place

Connect = Callable[[Place, int, float], Awaitable[tuple[URL, Backend]]]

# database -> how to connect, and the extra that brings its driver
DIALECTS: dict[str, tuple[Connect, str]] = {
    "sqlite": (sqlite.connect, "shop"),
    "postgresql": (postgres.connect, "postgres"),
    "mysql": (mysql.connect, "mysql"),
    "mariadb": (mysql.connect, "mysql"),
}


async def open_backend(place: Place, pool_size: int, wait_s: float) -> tuple[URL, Backend]:
    """Connect to the database of a URL.

    Raises:
        NotSupported: its driver is not installed.
    """
    connect, extra = DIALECTS[place.url.get_backend_name()]
    try:
        return await connect(place, pool_size, wait_s)
    except ModuleNotFoundError as error:
        text = f"the driver for {place.url.get_backend_name()} is missing: pip install 'stockade[{extra}]'"
        raise NotSupported(text) from error
