"""For `./stockade test`: prints the Debian packages that are missing, and fetches the jars of Apache Kafka.

python -m stockade.devservers missing     prints package names, nothing if none is missing
python -m stockade.devservers fetch       fetches the jars if they do not exist
"""

import sys
from collections.abc import Callable

from stockade.devservers import mariadb, pgbouncer, postgres, redis
from stockade.devservers.errors import ServerUnavailable
from stockade.devservers.existing import existing_url
from stockade.devservers.kafka.download import fetch_jars, find_java, find_maven, jars_folder

PACKAGES: tuple[tuple[str, str, Callable[[], object]], ...] = (
    ("postgres", "postgresql", postgres.find),
    ("mariadb", "mariadb-server-core", mariadb.find),
    ("redis", "redis-tools", redis.find),
    ("pgbouncer", "pgbouncer", pgbouncer.find),
    ("kafka", "default-jre-headless", find_java),
    ("kafka", "maven", lambda: jars_folder().is_dir() or find_maven()),
)


def missing() -> list[str]:
    """Debian packages of the servers that are neither installed nor named by an environment variable."""
    names = []
    for kind, package, find in PACKAGES:
        try:
            existing_url(kind) or find()
        except ServerUnavailable:
            names.append(package)
    return names


def main(word: str) -> int:
    """Execute one command of the module's docstring; returns the exit code, 0 on success."""
    if word not in ("missing", "fetch"):
        sys.stderr.write(f"{(__doc__ or '').strip()}\n")
        return 2
    if word == "missing":
        sys.stdout.write(" ".join(missing()) + "\n")
        return 0
    if existing_url("kafka") or jars_folder().is_dir():
        return 0
    try:
        find_java()
        find_maven()
        sys.stderr.write("fetching the jars of Apache Kafka (Maven, 45 MB)\n")
        fetch_jars()
    except ServerUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
