"""Creates and removes an empty database on a running server, private or not: one for each test.

It needs the extra of the server (postgres, mysql).
"""

import asyncio
import secrets
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit


async def fresh_database(server_url: str) -> str:
    """Create an empty database beside the one that `server_url` names.

    Args:
        server_url: `postgresql://…`, `mariadb://…` or `mysql://…`; its user may create databases.

    Returns:
        The URL of the new database. `drop_database` removes it.
    """
    name = f"stockade_{secrets.token_hex(6)}"
    encoding = "" if _is_postgres(server_url) else " CHARACTER SET utf8mb4"
    await execute(server_url, f"CREATE DATABASE {name}{encoding}")
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))


async def drop_database(server_url: str, database_url: str) -> None:
    """Remove a database that `fresh_database` made; PostgreSQL closes its connections by force.

    Args:
        server_url: the URL that `fresh_database` was called with.
        database_url: what it returned.
    """
    force = " WITH (FORCE)" if _is_postgres(server_url) else ""
    await execute(server_url, f"DROP DATABASE {urlsplit(database_url).path[1:]}{force}")


def _is_postgres(url: str) -> bool:
    return urlsplit(url).scheme.startswith("postgres")


async def execute(url: str, statement: str, wait_s: float = 60.0) -> list[tuple[Any, ...]]:
    """Execute one statement over a connection of its own; its rows, if it has any.

    Args:
        url: `postgresql://…`, `mariadb://…` or `mysql://…`.
        statement: SQL of that server.
        wait_s: longest time for the connection and again for the statement, in seconds.

    Raises:
        TimeoutError: the server did not answer in time.
    """
    if _is_postgres(url):
        import asyncpg

        postgres = await asyncpg.connect(url, timeout=wait_s)
        try:
            return [tuple(row) for row in await postgres.fetch(statement, timeout=wait_s)]
        finally:
            await postgres.close(timeout=wait_s)
    import asyncmy

    parts = urlsplit(url)
    mysql: Any = await asyncmy.connect(
        host=parts.hostname,
        port=parts.port or 3306,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        db=parts.path[1:] or None,
        connect_timeout=wait_s,
        autocommit=True,
    )
    try:
        async with asyncio.timeout(wait_s), mysql.cursor() as cursor:
            await cursor.execute(statement)
            return [tuple(row) for row in await cursor.fetchall()]
    finally:
        mysql.close()
