"""The search by name: the index finds what reading the list finds, in every alphabet, whoever writes the products."""

from random import Random

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from stockade.core.case_folding import folded
from stockade.shop import queries
from stockade.shop.migrations import SCHEMA
from stockade.shop.model import name_parts
from stockade.shop.model.tables import product_name_parts, products
from stockade.shop.queries import name_search
from stockade.store import Database
from tests.shop.conftest import soon

NAMES = [
    "Red 100%",
    "red_shoe",
    "Blue",
    "한국 우유",
    "사과 우유 1L",
    "사과",
    "Straße",
    "x",
    "xx",
    "xyx",
    "ÇİÇEK",
    "🍎🍎",
]


def row(number, name, folded_name=None):
    """A product."""
    values = {"id": f"p{number:04}", "name": name, "category": "c", "status": "ACTIVE", "created_ms": 0}
    return {**values, "folded_name": folded(name) if folded_name is None else folded_name}


async def write(database, *statements):
    """Run statements in one transaction."""

    def body(conn):
        for statement, values in statements:
            conn.execute(statement, values or None)

    await database.transaction(body, deadline=soon())


async def found(database, q, **options):
    """Names that a search finds, page by page."""
    names, cursor = [], None
    for _ in range(100):
        page = await database.read(lambda c, at=cursor: queries.products(c, q=q, cursor=at, limit=5, **options))
        names += [item.name for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return names
    raise AssertionError("more pages than products")


async def candidates(database, q):
    return await database.read(lambda c: name_search.candidates(c, folded(q)).ids)


async def test_the_index_finds_what_the_names_have(database):
    """Each part of each name, in another case, and texts that no name has; Korean words of two letters too."""
    await write(database, (insert(products), [row(number, name) for number, name in enumerate(NAMES)]))
    asked = {name[at : at + size].swapcase() for name in NAMES for size in (1, 2, 3, 5) for at in range(len(name))}
    for q in sorted(asked | {"우유", "사과", "유우", "zz", "red 1", "_s", "%"}):
        expected = [name for name in NAMES if folded(q) in folded(name)]
        assert await found(database, q) == expected, q
        assert (await candidates(database, q)) is not None, "the index was asked"
    assert await found(database, "우유") == ["한국 우유", "사과 우유 1L"]


async def test_the_index_follows_changes(database):
    """A name that is changed is found by its new parts only, a product that is deleted not at all."""
    await write(database, (insert(products), [row(1, "apple"), row(2, "maple")]))
    await write(
        database, (update(products).where(products.c.id == "p0001").values(name="pear", folded_name="pear"), {})
    )
    assert (await found(database, "pl"), await found(database, "ea")) == (["maple"], ["pear"])
    await write(database, (delete(products).where(products.c.id == "p0002"), {}))
    assert await found(database, "pl") == []
    left = await database.read(lambda c: c.execute(select(product_name_parts.c.part)).scalars().all())
    assert sorted(left) == ["", "ar", "ear", "pea", "r"]


async def test_what_an_old_process_wrote_is_found(database):
    """A product without a folded name is compared as it is, as before."""
    await write(database, (insert(products), [row(1, "Old Shoe", ""), row(2, "new shoe")]))
    assert await found(database, "shoe") == ["Old Shoe", "new shoe"]
    assert await found(database, "Old") == ["Old Shoe"]


async def test_a_text_that_many_names_have_is_read_from_the_list(database, monkeypatch):
    """The answers are the same on both ways, by id and by price; and where the triggers could not be made."""
    chance = Random(3)
    names = ["".join(chance.choices("abc한", k=chance.randrange(1, 6))) for _ in range(60)]
    await write(database, (insert(products), [row(number, name) for number, name in enumerate(names)]))
    asked = ["a", "ab", "abc", "한", "a한b", "cab"]
    expected = {q: [name for name in names if q in name] for q in asked}
    for most, read in ((1, 2), (1, 50), (5, 20), (20, 20), (2_000, 10_000)):
        monkeypatch.setattr(name_search, "MAX_FOUND", most)
        monkeypatch.setattr(name_search, "MAX_READ", read)
        for q in asked:
            assert await found(database, q) == expected[q]
            assert await found(database, q, descending=True) == expected[q][::-1]
    await write(database, (delete(product_name_parts), {}))
    assert await candidates(database, "ab") is None
    assert await found(database, "ab") == expected["ab"]


async def test_products_of_before_are_indexed_by_the_migration(database):
    """The revision adds the parts of the names that are there, also when it runs again."""
    await write(database, (insert(products), [row(1, "한국 우유"), row(2, "")]))
    parts = select(product_name_parts).order_by(product_name_parts.c.part, product_name_parts.c.product_id)
    before = await database.read(lambda c: c.execute(parts).all())
    await write(database, (delete(product_name_parts), {}))
    await write(database, (text("UPDATE stockade_schema SET version_num = '0007'"), {}))
    await SCHEMA.migrate(database)
    assert await database.read(lambda c: c.execute(parts).all()) == before
    assert await found(database, "우유") == ["한국 우유"]


@pytest.mark.mariadb
async def test_without_the_right_there_is_no_index(mariadb_database, monkeypatch):
    """A server that refuses triggers leaves the search as it was; any other error of the migration is raised."""
    database = await Database.open(mariadb_database)
    try:
        refused = "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1419, MESSAGE_TEXT = 'no right'"
        monkeypatch.setattr(name_parts, "_MYSQL", name_parts._MYSQL._replace(made=(refused,)))
        await SCHEMA.migrate(database)
        await write(database, (insert(products), [row(1, "apple")]))
        assert await candidates(database, "pp") is None
        assert await found(database, "pp") == ["apple"]
        broken = name_parts._MYSQL._replace(made=(refused.replace("1419", "1644"),))
        monkeypatch.setattr(name_parts, "_MYSQL", broken)
        with pytest.raises(DBAPIError):
            await database.transaction(lambda c: name_parts.keep_name_parts(None, c), deadline=soon())
    finally:
        await database.close()
