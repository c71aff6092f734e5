"""Whole lab runs on real servers: negative controls, deadlocks provoked and gone, a user's database left as it was."""

import asyncio

import pytest
from sqlalchemy import func, select

from stockade.lab.model.burst import PREFIX
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.tables import orders, point_accounts, products, skus
from stockade.store import Database
from stockade.store.schema.tables import ledger
from tests.lab.conftest import by_strategy

KINDS = [pytest.param("postgres", marks=pytest.mark.postgres), pytest.param("mariadb", marks=pytest.mark.mariadb)]


@pytest.fixture(params=KINDS)
def server(request, server_url):
    """(kind, URL of a fresh database) of each kind of server."""
    return request.param, request.getfixturevalue(f"{request.param}_database")


def test_reference_test(lab, server):
    """Every strategy sells 20 of 20, `unprotected` is seen to sell more, on a database that had no tables before."""
    kind, url = server
    code, document, output = lab("--database", url, "--repeats", "2")
    runs = by_strategy(document)
    assert code == 0, output
    assert runs.pop("unprotected")["accepted"] > 20
    assert "advisory" in runs
    assert {(run["accepted"], run["left"], run["database"]) for run in runs.values()} == {(20, 0, kind)}
    assert document["environment"]["isolation"] == "READ COMMITTED"
    assert document["environment"]["database_version"]


@pytest.mark.postgres
def test_in_process_breaks_in_two_processes(lab, postgres_database):
    """The mutex of one process does not keep another out; row locks do."""
    options = ("--processes", "2", "--repeats", "4", "--strategies", "in-process,pessimistic")
    code, document, output = lab("--database", postgres_database, *options)
    runs = by_strategy(document)
    assert code == 0, output
    assert (runs["in-process"]["verdict"], runs["pessimistic"]["verdict"]) == ("broken", "as promised")


def test_deadlocks_are_provoked_and_gone(lab, server):
    """Locked in the order of the cart: deadlocks. In key order the same carts: none. Nothing is lost."""
    options = ("--preset", "cart", "--repeats", "1", "--strategies", "pessimistic,conditional,optimistic,sequencer")
    code, document, output = lab("--database", server[1], *options)
    assert code == 0, output
    unsorted = [run["deadlocks"] for run in document["runs"] if run["preset"] == "cart:unsorted"]
    in_order = [run["deadlocks"] for run in document["runs"] if run["preset"] == "cart:sorted"]
    assert len(unsorted) == 1
    assert unsorted[0] > 0
    assert in_order == [0, 0, 0, 0]


async def _contents(url):
    """How many rows of each kind there are, ours and others'."""
    database = await Database.open(url)
    try:
        named = (products, skus, point_accounts)
        others = [select(func.count()).select_from(t).where(t.c.id.not_like(f"{PREFIX}%")) for t in named]
        everything = [select(func.count()).select_from(t) for t in (*named, orders, ledger)]
        return await database.read(lambda c: [[c.scalar(query) for query in group] for group in (others, everything)])
    finally:
        await database.close()


async def _empty_shop(url):
    database = await Database.open(url)
    try:
        await SCHEMA.migrate(database)
        return await SCHEMA.is_current(database)
    finally:
        await database.close()


def test_a_database_of_the_user_is_only_added_to(lab, tmp_path):
    """A second run on the same URL finds everything of the first and drops nothing; every id is marked as the lab's."""
    url = f"sqlite:///{tmp_path / 'mine.db'}"
    assert asyncio.run(_empty_shop(url))
    options = ("--database", url, "--repeats", "1", "--strategies", "pessimistic")
    before = None
    for _ in range(2):
        code, _, output = lab(*options)
        assert code == 0, output
        others, everything = asyncio.run(_contents(url))
        assert others == [0, 0, 0]
        assert before is None or everything == [2 * count for count in before]
        before = everything
    assert all(count > 0 for count in (before[0], before[1], before[3], before[4]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_starts_a_private_server(lab, kind, request):
    """`--database postgres` needs nothing but the program: a server comes up, is used, and goes."""
    code, document, output = lab("--database", kind, "--repeats", "1", "--strategies", "sequencer")
    assert code == 0, output
    assert document["environment"]["database"] == kind
    assert document["runs"][0]["accepted"] == 20
