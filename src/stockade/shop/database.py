"""Opens the database that the settings name."""

from stockade.drivers.failures import AccessRefused
from stockade.shop.config.settings import BadSetting, Settings
from stockade.store import Database, StoreTables
from stockade.store.schema.tables import DEFAULT


async def open_database(
    settings: Settings, *, wait_s: float | None = None, pool_size: int | None = None, tables: StoreTables = DEFAULT
) -> Database:
    """The database of the settings.

    Args:
        settings: the URL, and the limits.
        wait_s: longest time of a statement in seconds, instead of the setting.
        pool_size: connections for transactions, instead of the setting.
        tables: the names of the store's tables in it.

    Raises:
        BadSetting: the URL is unusable, or the server refuses the user, the password or the database.
        Busy: the server cannot be reached.
        NotSupported: a driver is missing; the message names the extra.
    """
    try:
        return await Database.open(
            settings.database_url,
            pool_size=pool_size or settings.pool_size,
            wait_s=wait_s or settings.wait_s,
            tables=tables,
        )
    except (ValueError, AccessRefused) as error:
        raise BadSetting(f"{settings.with_source('database')}: {error}") from error
