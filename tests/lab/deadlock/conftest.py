"""A table of rows and an observer on each server in turn."""

import pytest

from stockade.lab.deadlock.rows import open_rows
from stockade.lab.deadlock.wait_graph import open_observer
from tests.conftest import fresh


@pytest.fixture(
    params=[pytest.param("postgres", marks=pytest.mark.postgres), pytest.param("mariadb", marks=pytest.mark.mariadb)]
)
async def place(request, server_url):
    """URL, rows and observer in a fresh database of each server that the run shares."""
    with fresh(server_url(request.param)) as url:
        async with open_rows(url, request.param, 16) as rows, open_observer(url, request.param) as observer:
            yield url, rows, observer
