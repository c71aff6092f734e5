"""Names of advisory locks as the databases want them: a 64-bit number, or a short string."""

import hashlib


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=16, person=b"stockade").digest()


def number(name: str) -> int:
    """A signed 64-bit number for PostgreSQL. Two names may share one: then they only wait for each other."""
    return int.from_bytes(_digest(name)[:8], "big", signed=True)


def short(name: str, database: str) -> str:
    """A name of at most 64 characters for GET_LOCK of MySQL and MariaDB, unlikely to be anybody else's.

    Args:
        name: of the lock.
        database: whose lock it is: these names belong to the whole server. Upper and lower case are one, as they may
            be to the server: at worst two databases wait for each other.
    """
    return f"stockade:{_digest(f'{database.lower()}:{name}').hex()}"
