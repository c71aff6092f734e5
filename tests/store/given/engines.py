"""Engines as a project makes them, over each driver that the store takes."""

from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import create_async_engine

DRIVERS = {"sqlite": "aiosqlite", "postgresql": "asyncpg", "mariadb": "asyncmy", "mysql": "asyncmy"}


def engine_url(url, driver=None):
    """The URL of a test database with SQLAlchemy's driver."""
    family, _, rest = url.partition("://")
    family = "postgresql" if family.startswith("postgres") else family.partition("+")[0]
    return f"{family}+{driver or DRIVERS[family]}://{rest}"


@asynccontextmanager
async def engine_of(url, driver=None, **options):
    """An engine of the project's own, disposed of at the end."""
    engine = create_async_engine(engine_url(url, driver), **options)
    try:
        yield engine
    finally:
        await engine.dispose()
