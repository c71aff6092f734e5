"""URLs of PostgreSQL servers."""

from stockade.drivers.postgres import PostgresAddress
from stockade.store.engine.address import DatabaseAddress, database_address


def read_url(text: str) -> DatabaseAddress:
    """Read `postgresql://…`; the parameters that work: `stockade.drivers.postgres`.

    Raises:
        ValueError: not such a URL, or a parameter that cannot be used; one line without the password.
    """
    address = PostgresAddress.parse(text)
    host, port = address.hosts[0] if address.hosts else (None, None)
    return database_address("postgresql+asyncpg", address, host, port)
