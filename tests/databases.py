"""Fresh databases, empty or migrated: a migrated one is a copy of a template, made once for each process and server.

A migration takes most of the time of a short test. `migrate` copies instead: the file of SQLite, `CREATE DATABASE …
TEMPLATE` on PostgreSQL, what MariaDB shows of its tables and triggers. `tests/store/schema/test_copies.py` compares a
copy with a migrated database. Neighbours: the fixtures of `conftest.py`. Tests of migrations call `Schema.migrate`.
"""

import asyncio
import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

SQLITE = "sqlite:///"


class Server:
    """A server and one connection to it that stays open: to open one costs more than to create a database."""

    def __init__(self, url):
        self.url = url
        self.postgres = url.startswith("postgres")
        self._spare = []  # names of empty databases that copies took the place of
        self._loop = asyncio.new_event_loop()
        self._connection = self._do(self._connect())

    def create(self):
        """Create an empty database; its URL."""
        name = f"stockade_{secrets.token_hex(6)}"
        if self._spare:
            self.run(f"ALTER DATABASE {self._spare.pop()} RENAME TO {name}")
        else:
            self.run(f"CREATE DATABASE {name}" + ("" if self.postgres else " CHARACTER SET utf8mb4"))
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def replace(self, url, template):
        """Put a copy in the place of an empty database of PostgreSQL, which `create` gives out again; an error if it is
        in use."""
        spare = f"stockade_{secrets.token_hex(6)}"
        name = name_of(url)
        self.run(f"ALTER DATABASE {name} RENAME TO {spare}")
        self._spare.append(spare)
        self.run(f"CREATE DATABASE {name} TEMPLATE {name_of(template)}")

    def drop(self, url):
        """Remove a database; PostgreSQL closes its connections by force."""
        self.run(f"DROP DATABASE {name_of(url)}" + (" WITH (FORCE)" if self.postgres else ""))

    def run(self, *statements):
        """Run statements; the rows of the last one."""
        return self._do(self._run(statements))

    def close(self):
        """Remove what is left over, and end the connection."""
        with ExitStack() as ends:
            ends.callback(self._loop.close)
            ends.callback(
                lambda: self._do(self._connection.close() if self.postgres else self._connection.ensure_closed())
            )
            self.run(*(f"DROP DATABASE {name}" for name in self._spare))

    def _do(self, work):
        with ThreadPoolExecutor(1) as thread:  # the loop of the test runs in this one
            return thread.submit(self._loop.run_until_complete, work).result()

    async def _connect(self):
        if self.postgres:
            import asyncpg

            return await asyncpg.connect(self.url)
        import asyncmy

        parts = urlsplit(self.url)
        return await asyncmy.connect(
            host=parts.hostname,
            port=parts.port or 3306,
            user=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            autocommit=True,
        )

    async def _run(self, statements):
        rows = []
        if self.postgres:
            for statement in statements:
                rows = await self._connection.fetch(statement)
            return rows
        async with self._connection.cursor() as cursor:
            for statement in statements:
                await cursor.execute(statement)
                rows = await cursor.fetchall()
        return rows


class Databases:
    """The databases of a test process, and the templates that they are copied from."""

    def __init__(self):
        self._servers = {}
        self._empty = {}  # URL of a database that nobody has filled -> its server
        self._migrated = set()  # (URL, schema)
        self._templates = {}  # (server URL or None, schema) -> what a copy is made from

    def create(self, server_url):
        """Create an empty database on a server; its URL."""
        if server_url not in self._servers:
            self._servers[server_url] = Server(server_url)
        server = self._servers[server_url]
        url = server.create()
        self._empty[url] = server
        return url

    def drop(self, server_url, url):
        """Remove a database that `create` made."""
        self._empty.pop(url, None)
        self._servers[server_url].drop(url)

    async def migrate(self, url, schema, **options):
        """Bring a database to the newest revision, as `schema.migrate` does; an empty one becomes a copy, once.

        Args:
            url: of the database.
            schema: the tables to make.
            options: of `Database.open`, e.g. the names of the store's tables.
        """
        if (url, schema) in self._migrated:
            return
        self._migrated.add((url, schema))
        server, file = self._empty.pop(url, None), Path(url.removeprefix(SQLITE))
        if url.startswith(SQLITE) and file.is_absolute() and not file.exists():
            if (None, schema) not in self._templates:
                await migrated(url, schema, options)
                self._templates[None, schema] = file.read_bytes()
            file.write_bytes(self._templates[None, schema])
        elif server is None:
            await migrated(url, schema, options)
        else:
            if (server.url, schema) not in self._templates:
                self._templates[server.url, schema] = await template_on(server, schema, options)
            self._templates[server.url, schema].copy_to(url)

    def close(self):
        """Remove the templates from their servers, and end the connections."""
        with ExitStack() as ends:  # each, even if another one fails; the templates first
            for server in self._servers.values():
                ends.callback(server.close)
            for template in self._templates.values():
                if not isinstance(template, bytes):
                    ends.callback(template.server.drop, template.url)


class PostgresTemplate:
    """A migrated database that PostgreSQL copies; nobody may connect to it meanwhile."""

    def __init__(self, server, url):
        self.server, self.url = server, url
        server.run(f"ALTER DATABASE {name_of(url)} ALLOW_CONNECTIONS false")

    def copy_to(self, url):
        """Put a copy in the place of an empty database; an error if it is in use."""
        self.server.replace(url, self.url)


class MariaTemplate:
    """The statements that make what a migrated MariaDB or MySQL has: tables, the rows of migrations, and triggers."""

    def __init__(self, server, url):
        self.server, self.url = server, url
        name, run = name_of(url), server.run
        tables = [row[0] for row in run(f"SHOW TABLES FROM {name}")]
        filled = [table for table in tables if run(f"SELECT COUNT(*) FROM {name}.{table}")[0][0]]
        triggers = [row[0] for row in run(f"SHOW TRIGGERS FROM {name}")]
        made = [run(f"SHOW CREATE TRIGGER {name}.{trigger}")[0][1:3] for trigger in triggers]  # (mode, statement)
        self._statements = [
            "SET foreign_key_checks = 0",  # a table may come before one that it refers to
            *(run(f"SHOW CREATE TABLE {name}.{table}")[0][1] for table in tables),
            *(f"INSERT INTO {table} SELECT * FROM {name}.{table}" for table in filled),
            *(each for mode, statement in made for each in (f"SET sql_mode = '{mode}'", statement)),
        ]

    def copy_to(self, url):
        """Fill an empty database."""
        self.server.run(f"USE {name_of(url)}", *self._statements)


async def template_on(server, schema, options):
    """A new template on a server."""
    url = server.create()
    await migrated(url, schema, options)
    return (PostgresTemplate if server.postgres else MariaTemplate)(server, url)


async def migrated(url, schema, options):
    """Migrate a database."""
    from stockade.store import Database

    database = await Database.open(url, **options)
    try:
        await schema.migrate(database)
    finally:
        await database.close()


def name_of(url):
    """The name of a database."""
    return urlsplit(url).path[1:]


CREATED = Databases()
