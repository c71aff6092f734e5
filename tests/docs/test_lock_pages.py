"""The lock pages: what they show runs, under pytest, in the simulator and against a database."""

import os
import subprocess
import sys

import pytest
import sqlalchemy as sa

from stockade.locks import MemoryLocks
from stockade.locks.fencing import FenceRefused
from tests.docs.blocks import blocks, program

LOCKS = "locks.md"


def block_with(text):
    """The one Python block of docs/locks.md that has this text."""
    (found,) = [block for block in blocks(LOCKS, "python") if text in block]
    return found


def test_the_simulator_finds_what_the_page_says(capsys, monkeypatch):
    """The lock alone loses deposits in some histories, and the fence in none; a seed replays its history."""
    monkeypatch.setitem(
        sys.modules, "__main__", sys.modules["__main__"]
    )  # put back, else later processes start wrongly
    page = program("how-to/simulate-your-locks.md", name="__main__")
    assert capsys.readouterr().out == blocks("how-to/simulate-your-locks.md", "text")[0]
    broken = page.broken_seeds(fenced=False)
    assert [page.lost_deposits(seed, False) for seed in broken] == [page.lost_deposits(seed, False) for seed in broken]


@pytest.mark.redis
def test_the_pytest_pattern_runs(redis_url, tmp_path):
    """Its tests pass, each in an event loop of its own, also those of a provider that the application has made."""
    (tmp_path / "app.py").write_text(block_with("# app.py"))
    (tmp_path / "conftest.py").write_text(block_with("# conftest.py"))
    (tmp_path / "test_app.py").write_text(block_with("# test_app.py"))
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        env={**os.environ, "REDIS_URL": redis_url, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_the_fencing_example_refuses_a_late_holder(tmp_path):
    """The table has the two columns, a later holder writes, and the earlier one is refused."""
    names = {}
    exec(compile(block_with("fence_owner"), LOCKS, "exec"), names)
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'stock.db'}")
    names["metadata"].create_all(engine)
    with engine.begin() as connection:
        connection.execute(names["stock"].insert().values(id=42, n=3))
    with MemoryLocks() as locks:
        lock = locks.lock("stock:42")
        late = lock.acquire()
        late.release()
        names["sell_one"](engine, lock)
        with pytest.raises(FenceRefused), engine.begin() as connection:
            names["install"](connection, names["stock"], {"id": 42}, late)
    with engine.connect() as connection:
        assert connection.execute(sa.select(names["stock"].c.n)).scalar() == 2
    engine.dispose()


@pytest.mark.postgres
async def test_the_given_pool_example_runs(postgres_url):
    """The locks of the page borrow from the application's engine, and give back."""
    url = "postgresql+asyncpg" + postgres_url[postgres_url.index("://") :]
    names = {}
    exec(compile(block_with("create_async_engine"), LOCKS, "exec"), names)
    await names["main"](url)
