"""A pool of the application, of each kind, and the providers over it."""

from contextlib import AbstractAsyncContextManager, AbstractContextManager

import pytest

from stockade import locks as locks_for_threads
from stockade.locks import aio
from stockade.locks.database.dialect import hashed
from tests.locks.given.pools import MYSQL_AIO, MYSQL_THREADS, POSTGRES_AIO, POSTGRES_THREADS

MARK = (
    "SET application_name = 'mine'; SET lock_timeout = '7s'; SET statement_timeout = '9s'",
    "SET SESSION wait_timeout = 1234",
)
STATE = (
    """SELECT pg_backend_pid(), current_setting('application_name'), current_setting('lock_timeout'),
        current_setting('statement_timeout'),
        (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid())""",
    "SELECT CONNECTION_ID(), @@wait_timeout, @@autocommit, COALESCE(IS_USED_LOCK('{key}') = CONNECTION_ID(), 0)",
)


class Given:
    """A pool of the application, and providers: over it, and over connections of their own."""

    def __init__(self, request, database, kind, *, for_asyncio):
        self.url = request.getfixturevalue("postgres_url" if database == "postgres" else "mariadb_url")
        makers = (POSTGRES_AIO, MYSQL_AIO) if for_asyncio else (POSTGRES_THREADS, MYSQL_THREADS)
        self.make = makers[database == "mysql"][kind]
        self.prefix = request.node.name
        name = "PostgresLocks" if database == "postgres" else "MySQLLocks"
        self.provider_type = getattr(aio if for_asyncio else locks_for_threads, name)
        self.mark = MARK[database == "mysql"]
        self.state = STATE[database == "mysql"].replace("{key}", f"stockade:{hashed(self.prefix, 'a').hex()}")

    def pool(self) -> AbstractAsyncContextManager | AbstractContextManager:
        return self.make(self.url)

    def locks(self, where, **options):
        return self.provider_type(where, prefix=self.prefix, **options)


@pytest.fixture
def given_aio(request):
    """Of asyncio."""
    return Given(request, *request.param, for_asyncio=True)


@pytest.fixture
def given(request):
    """For threads."""
    return Given(request, *request.param, for_asyncio=False)
