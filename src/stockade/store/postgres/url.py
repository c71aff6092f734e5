"""URLs of PostgreSQL servers."""

from stockade.drivers.postgres import PostgresAddress
from stockade.store.engine.place import Place, place_of


def read_url(text: str) -> Place:
    """Read `postgresql://…`; the parameters that work: `stockade.drivers.postgres`.

    Raises:
        ValueError: not such a URL, or a parameter that cannot be used; one line without the password.
    """
    address = PostgresAddress.parse(text)
    host, port = address.hosts[0] if address.hosts else (None, None)
    return place_of("postgresql+asyncpg", address, host, port)
