"""A fixture for pytest; nothing else of `stockade.testing` needs it. Neighbour: `databases` makes the database."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from stockade.core import Busy, NotSupported
from stockade.service import Application
from stockade.store import Database
from stockade.testing.databases import fresh_database


def database_fixture(application: Application, urls: Sequence[str] = ("sqlite",)) -> Any:
    """A fixture that gives each test a fresh, open database, once for each URL.

    Write `database = database_fixture(APPLICATION)` into a `conftest.py`. It is asynchronous: with pytest-asyncio, set
    `asyncio_mode = "auto"`.

    Args:
        application: whose tables it has.
        urls: `sqlite` is a file in the test's own folder; every other one as for `fresh_database`. Where a server
            refuses, the test fails with one line.

    Raises:
        ImportError: pytest is not installed.
    """
    import pytest

    @pytest.fixture(params=list(urls), ids=[url.partition(":")[0] for url in urls])
    async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
        url = f"sqlite:///{tmp_path / 'test.db'}" if request.param == "sqlite" else request.param
        async with AsyncExitStack() as stack:
            try:
                opened = await stack.enter_async_context(fresh_database(application, url))
            except (Busy, NotSupported) as error:
                raise pytest.fail.Exception(str(error), pytrace=False) from None
            yield opened

    return database
