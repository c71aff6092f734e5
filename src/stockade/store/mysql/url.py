"""URLs of MariaDB and MySQL servers."""

from stockade.core.secrets import hide_password
from stockade.drivers.mysql import MySQLAddress
from stockade.store.engine.address import DatabaseAddress, database_address


def read_url(text: str) -> DatabaseAddress:
    """Read `mariadb://…` or `mysql://…`; the parameters that work: `stockade.drivers.mysql`.

    Raises:
        ValueError: not such a URL, or a parameter that cannot be used; one line without the password.
    """
    family = text.partition("://")[0].partition("+")[0]
    address = MySQLAddress.parse(text)
    if address.database is None:
        raise ValueError(f"{hide_password(text)!r} names no database: write {family}://user@host/name")
    return database_address(f"{family}+asyncmy", address, address.host, address.port)
