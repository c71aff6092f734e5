"""Settings of PostgreSQL for a few statements. They belong to a transaction, so no other client of a pooler meets them.

Neighbours: `store.index_order` fixes a plan with them, `shop.audit` bounds its statements.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection


@contextmanager
def local_settings(connection: Connection, settings: Mapping[str, str]) -> Iterator[None]:
    """Set something meanwhile; a connection that is in no transaction is in one meanwhile.

    Args:
        connection: to PostgreSQL.
        settings: names of settings with the values to give them.
    """
    names = list(settings)
    read = ", ".join(f"current_setting('{name}')" for name in names)
    before = connection.exec_driver_sql(f"SELECT {read}").one()  # begins the transaction, unless it commits by itself
    driver: Any = connection.connection.driver_connection
    if driver.is_in_transaction():
        _set(connection, settings)
        yield  # after an error nothing is set back: the rollback of the transaction does that
        _set(connection, dict(zip(names, before, strict=True)))
        return
    try:
        connection.exec_driver_sql("BEGIN")
        _set(connection, settings)
        yield
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        connection.invalidate()  # it would go back to its pool within the transaction
        raise


def _set(connection: Connection, settings: Mapping[str, str]) -> None:
    calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
    connection.exec_driver_sql(f"SELECT {calls}")
