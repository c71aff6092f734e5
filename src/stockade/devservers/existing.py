"""Servers that are there already and are to be used instead of private ones: one environment variable per kind."""

import os

VARIABLES = {
    "postgres": "STOCKADE_TEST_POSTGRES_URL",
    "mariadb": "STOCKADE_TEST_MARIADB_URL",
    "mysql": "STOCKADE_TEST_MYSQL_URL",
    "redis": "STOCKADE_TEST_REDIS_URL",
    "kafka": "STOCKADE_TEST_KAFKA",
}


def existing_url(kind: str) -> str | None:
    """The URL (for Kafka the bootstrap list) of a server that somebody else runs, None when there is none.

    Args:
        kind: `postgres`, `mariadb`, `mysql`, `redis` or `kafka`; a `pgbouncer` is always a private one.
    """
    return os.environ.get(VARIABLES.get(kind, "")) or None
