"""The fixtures of the suite give what they say."""

from urllib.parse import urlsplit

from redis import Redis


async def test_fresh_database(database_url):
    """Each test has an empty database of its own, on every kind of server."""
    assert urlsplit(database_url).scheme in {"sqlite", "postgresql", "mariadb", "mysql"}
    assert "stockade" in urlsplit(database_url).path


def test_fresh_database_without_a_loop(postgres_database, mariadb_database):
    """A test that is no coroutine gets its database too."""
    assert postgres_database != mariadb_database


def test_empty_redis(redis_url):
    """What one test leaves in Redis…"""
    with Redis.from_url(redis_url) as client:
        assert client.set("left", 1, nx=True)


def test_empty_redis_again(redis_url):
    """…the next one does not find."""
    with Redis.from_url(redis_url) as client:
        assert client.set("left", 1, nx=True)


def test_kafka(kafka_bootstrap):
    """The broker is named by host and port."""
    assert ":" in kafka_bootstrap
