"""Column types that mean the same on every database."""

from sqlalchemy import BigInteger, Integer, String
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

MARIADB_COLLATION = "utf8mb4_nopad_bin"
MYSQL_COLLATION = "utf8mb4_0900_bin"


def text_id(length: int = 64) -> TypeEngine[str]:
    """An id or key: compared code point by code point everywhere.

    The default collations of MySQL and MariaDB take 'b', 'B' and 'b ' for one id, and PostgreSQL's order follows
    the locale; both would break the one global lock order.
    """
    return (
        String(length)
        .with_variant(String(length, collation="C"), "postgresql")
        .with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation=MARIADB_COLLATION), "mariadb")
        .with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation=MYSQL_COLLATION), "mysql")
    )


def text(length: int) -> TypeEngine[str]:
    """A text that is no key: holds every letter, whatever character set the server or the database has as its default.

    On MariaDB and MySQL a column without a character set takes the default of the database. With latin1 a Korean name
    is then an error, or is stored as question marks where the server is not strict.
    """
    return (
        String(length)
        .with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation=MARIADB_COLLATION), "mariadb")
        .with_variant(mysql.VARCHAR(length, charset="utf8mb4", collation=MYSQL_COLLATION), "mysql")
    )


def serial() -> TypeEngine[int]:
    """A 64-bit number that the database counts up (SQLite does so for INTEGER only)."""
    return BigInteger().with_variant(Integer(), "sqlite")
