"""A file that somebody has in his hands while it is opened."""

import sqlite3
import time
from contextlib import closing
from types import SimpleNamespace

import pytest

from stockade.core import Busy
from stockade.store import Database
from stockade.store.sqlite import connect as ours


@pytest.fixture
def other(tmp_path):
    """Another process's connection to a new file, in the middle of a transaction."""
    connection = sqlite3.connect(tmp_path / "new.sqlite", isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("CREATE TABLE theirs (id INTEGER)")
    yield connection
    connection.close()


async def test_opening_waits_for_who_has_the_file(tmp_path, other, monkeypatch):
    """SQLite refuses to turn a held file to WAL at once; it is tried again until the other has let go."""
    refused = []

    def let_go(_pause_s):
        refused.append(other.in_transaction)
        if len(refused) == 3:
            other.execute("COMMIT")

    monkeypatch.setattr(ours, "time", SimpleNamespace(monotonic=time.monotonic, sleep=let_go))
    database = await Database.open(f"sqlite:///{tmp_path}/new.sqlite")
    await database.read(lambda connection: connection.exec_driver_sql("SELECT * FROM theirs"), timeout_s=5)
    await database.close()
    assert refused == [True, True, True]


async def test_the_wait_ends(tmp_path, other, monkeypatch):
    """Whoever keeps the file is waited for up to a bound, and is left what it wrote."""
    monkeypatch.setattr(ours, "OPEN_WAIT_S", 0.05)
    database = await Database.open(f"sqlite:///{tmp_path}/new.sqlite")
    with pytest.raises(Busy, match="locked"):
        await database.read(lambda connection: connection.exec_driver_sql("SELECT 1"), timeout_s=5)
    await database.close()
    other.execute("COMMIT")
    assert other.execute("SELECT count(*) FROM theirs").fetchone() == (0,)


async def test_both_ways_of_waiting_share_one_bound(tmp_path, other, monkeypatch):
    """Refused at once until its time is nearly over, then waited for inside SQLite: that may take the rest only."""
    now_s = [0.0]
    timeouts = []

    def later(_pause_s):
        now_s[0] += ours.OPEN_WAIT_S * 0.4

    class Driver:
        """Notes the timeout at each try."""

        def __init__(self, driver):
            self.driver = driver

        def execute(self, text):
            if "journal_mode" in text:
                timeouts.append(self.driver.execute("PRAGMA busy_timeout").fetchone()[0] / 1000)
            return self.driver.execute(text)

    monkeypatch.setattr(ours, "time", SimpleNamespace(monotonic=lambda: now_s[0], sleep=later))
    locked = pytest.raises(sqlite3.OperationalError, match="locked")
    with closing(sqlite3.connect(tmp_path / "new.sqlite")) as driver, locked:
        ours._switch_to_wal(Driver(driver))
    assert timeouts == pytest.approx([ours.OPEN_WAIT_S * share for share in (1, 0.6, 0.2, 0)])
