"""Restart, upgrade and change of passwords while callers order: every one of them gets an answer, and it is 201."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from stockade.shop.migrations import SCHEMA, SHOP
from tests.cli.service import Service, audited, prepared, stockade, token
from tests.process.rolling import Balancer, Load
from tests.waiting import eventually, eventually_async

SKU = "sku-1"
NEWER = """
import sys
from pathlib import Path
from stockade.shop import migrations
object.__setattr__(migrations.SHOP, "folder", Path(sys.argv.pop(1)))  # a version with one more migration
from stockade.__main__ import main
main()
"""
EXPANDS = '''
"""Adds what an older version does not know: a column with a default, and a table."""
import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"


def upgrade():
    op.add_column("orders", sa.Column("channel", sa.String(16), nullable=False, server_default=""))
    op.create_table("channels", sa.Column("id", sa.String(16), primary_key=True))
'''


def service(stack, tmp_path, name, *words, **settings):
    """A service in a folder of its own, stopped at the end of the stack."""
    folder = tmp_path / name
    folder.mkdir()
    return stack.enter_context(Service(folder, *words, **settings))


async def sound(url, load):
    """Every answer was 201, every order that was answered is there, and the audit finds nothing."""
    assert set(load.answers) == {201}, load.answers
    figures, found = await audited(url)
    assert found == []
    assert sum(figures.orders.values()) == len(load.sold)


async def drained(process, balancer):
    """Take a service out, as an operator does: SIGTERM, and wait for its end while the other one serves."""
    process.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.process.wait, 30) == 0
    balancer.upstreams.remove(process.url)


@pytest.fixture
async def shop_url(postgres_database):
    """A PostgreSQL with one product of many units."""
    await prepared(postgres_database, users=1, products=1, stock=1_000_000)
    return postgres_database


async def test_a_rolling_restart_loses_no_order(shop_url, tmp_path):
    """One of two services is replaced under load, then the other one goes; no caller sees an error."""
    settings = {"database": shop_url, "drain_s": 0.3, "strategy": "pessimistic"}
    with ExitStack() as stack:
        old = [service(stack, tmp_path, f"old-{n}", **settings) for n in (1, 2)]
        balancer = Balancer(*(each.url for each in old))
        load = Load(balancer, token("user-1"), SKU)
        async with load.running():
            await drained(old[0], balancer)
            new = await asyncio.to_thread(service, stack, tmp_path, "new", **settings)
            balancer.upstreams.append(new.url)
            await load.goes_on()
            await drained(old[1], balancer)
            await load.goes_on()
        await balancer.close()
    await sound(shop_url, load)


async def test_one_service_alone_is_missed(shop_url, tmp_path):
    """The control: without a second service, callers meet a time in which nobody answers."""
    with ExitStack() as stack:
        only = service(stack, tmp_path, "only", database=shop_url)
        balancer = Balancer(only.url)
        load = Load(balancer, token("user-1"), SKU)
        async with load.running():
            only.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(only.process.wait, 30)

            async def missed():
                return load.answers[None] > 0

            await eventually_async(missed)
        await balancer.close()
    assert (await audited(shop_url))[1] == []


async def test_old_processes_serve_beside_one_newer_revision(shop_url, tmp_path):
    """Under load the database is expanded first: the old service stays ready, also a process that is replaced then; the
    newer one joins, the old one goes, and every order is answered."""
    migrations = tmp_path / "migrations"
    shutil.copytree(SHOP.folder, migrations, ignore=shutil.ignore_patterns("__pycache__"))
    (migrations / "v9999_channels.py").write_text(EXPANDS.format(head=SCHEMA.newest()["shop"]))
    settings = {"database": shop_url, "drain_s": 0.3}
    with ExitStack() as stack:
        old = service(stack, tmp_path, "old", "--workers", "2", **settings)
        balancer = Balancer(old.url)
        load = Load(balancer, token("user-1"), SKU)
        async with load.running():
            newer = ("-c", NEWER, str(migrations))
            migrate = [sys.executable, *newer, "migrate", "--database", shop_url]
            done = await asyncio.to_thread(
                subprocess.run, migrate, capture_output=True, text=True, cwd=tmp_path, check=False
            )
            assert "-> " in done.stdout, done.stderr
            assert "9999" in done.stdout
            await load.goes_on()
            async with old.client() as http:
                assert (await http.get("/readyz")).status_code == 200
            await load.goes_on()
            before = workers(old)
            os.kill(before[0], signal.SIGKILL)
            await asyncio.to_thread(eventually, lambda: len(workers(old)) == 2 and before[0] not in workers(old), 20)
            refused = await asyncio.to_thread(stockade, tmp_path, "serve", "--port", "0", "--database", shop_url)
            assert (refused.returncode, "a newer version of stockade has made" in refused.stderr) == (2, True)
            new = await asyncio.to_thread(service, stack, tmp_path, "new", program=newer, **settings)
            balancer.upstreams.append(new.url)
            await load.goes_on()
            await drained(old, balancer)
            await load.goes_on()
        await balancer.close()
    del load.answers[None]  # the process that was killed; the same key was sent again
    await sound(shop_url, load)


def workers(service):
    """Pids of the serving processes."""
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children")
    return [int(pid) for pid in children.read_text().split()]
