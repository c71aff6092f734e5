"""Passwords of the database and of Redis are changed while callers order, as docs/deploy.md says."""

import asyncio
import time
from contextlib import ExitStack

import pytest
import redis
from sqlalchemy import text

from stockade.store import Database
from tests.cli.service import prepared, token
from tests.process.rolling import Balancer, Load
from tests.process.test_rolling import SKU, drained, service, sound
from tests.waiting import eventually_async

ROLES = """
CREATE ROLE shop NOLOGIN;
CREATE ROLE app_a LOGIN PASSWORD 'first-secret' IN ROLE shop;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO shop;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO shop
"""
NEW_ROLE = "CREATE ROLE app_b LOGIN PASSWORD 'second-secret' IN ROLE shop"
ENDS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'"


async def as_owner(url, statements):
    """Run statements as the owner of the database."""
    owner = await Database.open(url)
    try:
        for each in statements.split(";"):
            deadline = time.monotonic() + 10
            await owner.transaction(lambda conn, sql=each: conn.execute(text(sql)) and None, deadline=deadline)
    finally:
        await owner.close()


@pytest.fixture
async def guarded(servers):
    """A PostgreSQL that asks its roles for passwords: its URL for the owner, and a function for those of roles."""
    server = servers.postgres()
    await prepared(server.url, users=1, products=1, stock=1_000_000)
    await as_owner(server.url, ROLES)
    hba = server.folder / "data" / "pg_hba.conf"
    hba.write_text("host all stockade 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    await as_owner(server.url, "SELECT pg_reload_conf()")
    return server.url, lambda role, secret: server.url.replace("stockade@", f"{role}:{secret}@")


@pytest.mark.postgres
async def test_the_password_of_the_database(guarded, tmp_path):
    """A second login beside the first: a service with the second joins, the one with the first goes, then the first is
    locked out, and no order was lost or refused."""
    owner, url = guarded
    with ExitStack() as stack:
        old = service(stack, tmp_path, "old", database=url("app_a", "first-secret"), drain_s=0.3)
        balancer = Balancer(old.url)
        load = Load(balancer, token("user-1"), SKU)
        async with load.running():
            await as_owner(owner, NEW_ROLE)
            settings = {"database": url("app_b", "second-secret"), "drain_s": 0.3}
            new = await asyncio.to_thread(service, stack, tmp_path, "new", **settings)
            balancer.upstreams.append(new.url)
            await drained(old, balancer)
            await as_owner(owner, f"ALTER ROLE app_a NOLOGIN; {ENDS.format('app_a')}")
            await load.goes_on()
        await balancer.close()
    await sound(owner, load)


@pytest.mark.postgres
async def test_a_password_that_is_changed_in_place(guarded, tmp_path):
    """The control: with one login only, orders are refused as soon as connections have to be made anew."""
    owner, url = guarded
    with ExitStack() as stack:
        only = service(stack, tmp_path, "only", database=url("app_a", "first-secret"), wait_s=1)
        balancer = Balancer(only.url)
        load = Load(balancer, token("user-1"), SKU)
        async with load.running():
            await as_owner(owner, f"ALTER ROLE app_a PASSWORD 'second-secret'; {ENDS.format('app_a')}")

            async def refused():
                return load.answers[503] > 0

            await eventually_async(refused, 20)
        await balancer.close()


@pytest.mark.redis
async def test_the_password_of_redis(postgres_database, redis_server, tmp_path):
    """A user of Redis may have two passwords at once: the new one is added, a service moves over, the old one goes."""
    await prepared(postgres_database, users=1, products=1, stock=1_000_000)
    server = redis_server()
    with redis.Redis.from_url(server.url) as operator, ExitStack() as stack:
        operator.execute_command("ACL", "SETUSER", "app", "on", ">first-secret", "~*", "&*", "+@all")
        settings = {"database": postgres_database, "drain_s": 0.3, "strategy": "redis-pubsub"}
        address = f"redis://app:{{}}@127.0.0.1:{server.port}/0"
        old = service(stack, tmp_path, "old", redis=address.format("first-secret"), **settings)
        balancer = Balancer(old.url)
        load = Load(balancer, token("user-1"), SKU)
        async with load.running():
            operator.execute_command("ACL", "SETUSER", "app", ">second-secret")
            new = await asyncio.to_thread(
                service, stack, tmp_path, "new", redis=address.format("second-secret"), **settings
            )
            balancer.upstreams.append(new.url)
            await drained(old, balancer)
            operator.execute_command("ACL", "SETUSER", "app", "<first-secret")
            await load.goes_on()
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(address.format("first-secret")).ping()
        await balancer.close()
    await sound(postgres_database, load)
