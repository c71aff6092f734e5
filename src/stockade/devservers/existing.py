"""Running servers to be used instead of private ones: one environment variable for each kind."""

import os

VARIABLES = {
    "postgres": "STOCKADE_TEST_POSTGRES_URL",
    "mariadb": "STOCKADE_TEST_MARIADB_URL",
    "mysql": "STOCKADE_TEST_MYSQL_URL",
    "redis": "STOCKADE_TEST_REDIS_URL",
    "kafka": "STOCKADE_TEST_KAFKA",
}


def existing_url(kind: str) -> str | None:
    """The URL (for Kafka the bootstrap servers) that the environment names, None if it names none.

    Args:
        kind: `postgres`, `mariadb`, `mysql`, `redis` or `kafka`; a `pgbouncer` is always private.
    """
    return os.environ.get(VARIABLES.get(kind, "")) or None
