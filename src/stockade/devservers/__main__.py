"""For `./stockade test`: prints the Debian packages that are missing, and prepares Apache Kafka.

python -m stockade.devservers missing     prints package names, nothing if none is missing
python -m stockade.devservers fetch       fetches the jars and archives their classes, if that was not done
"""

import sys
from collections.abc import Callable

from stockade.devservers import mariadb, pgbouncer, postgres, redis
from stockade.devservers.errors import ServerFailed, ServerUnavailable
from stockade.devservers.existing import existing_url
from stockade.devservers.kafka.class_archive import make_class_archive
from stockade.devservers.kafka.download import class_archive, fetch_jars, find_java, find_maven, jars_folder

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
    return 0 if existing_url("kafka") else fetch()


def fetch() -> int:
    """Fetch the jars of Apache Kafka, and archive their classes; returns the exit code."""
    try:
        find_java()
        if not jars_folder().is_dir():
            find_maven()
            sys.stderr.write("fetching the jars of Apache Kafka (Maven, 45 MB)\n")
            fetch_jars()
        if not class_archive(jars_folder()).exists():
            sys.stderr.write("archiving the classes of Apache Kafka, so that brokers start sooner\n")
            make_class_archive()
    except ServerUnavailable as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except ServerFailed as error:  # brokers start without the archive too
        sys.stderr.write(f"no archive of classes: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
