"""Which database is spoken to how: a new one is one file and one row here."""

from collections.abc import Awaitable, Callable

from sqlalchemy.engine import URL

from stockade.core import NotSupported
from stockade.store.engine.backends import DatabaseBackend
from stockade.store.engine.url import Place
from stockade.store.mysql.dialect import connect as connect_mysql
from stockade.store.postgres.dialect import connect as connect_postgres
from stockade.store.sqlite.dialect import connect as connect_sqlite

Connect = Callable[[Place, int, float], Awaitable[tuple[URL, DatabaseBackend]]]

# database -> how to connect, and the extra that brings its driver
DIALECTS: dict[str, tuple[Connect, str]] = {
    "sqlite": (connect_sqlite, "shop"),
    "postgresql": (connect_postgres, "postgres"),
    "mysql": (connect_mysql, "mysql"),
    "mariadb": (connect_mysql, "mysql"),
}


async def open_backend(place: Place, pool_size: int, wait_s: float) -> tuple[URL, DatabaseBackend]:
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
