"""Java's archive of the classes that a broker loads. With it, a broker is ready in half the time.

A broker that was started for it writes the archive when it ends (class data sharing, JEP 350). Java reads it instead of
the jars, and ignores one of other jars or of another Java. Neighbours: `cluster.py` names it to each broker,
`python -m stockade.devservers fetch` makes it.
"""

import os
import shutil

from stockade.devservers.errors import ServerFailed
from stockade.devservers.kafka.cluster import WRITTEN, create
from stockade.devservers.kafka.download import class_archive, jars_folder
from stockade.devservers.workdir import WorkDir

_HEAP_MB = 384
_WRITE_LIMIT_S = 90.0


def make_class_archive() -> None:
    """Start a broker and end it, and keep the archive that it writes beside the jars.

    Raises:
        ServerUnavailable: Java, Maven or the jars are missing.
        ServerFailed: the broker did not start, or wrote no archive.
    """
    workdir = WorkDir()
    try:
        cluster = create(workdir, 1, _HEAP_MB, {}, archive_classes=True)
        cluster.start()
        (broker,) = cluster.brokers
        broker.stop(_WRITE_LIMIT_S)
        written = broker.folder / WRITTEN
        if not written.exists():
            raise ServerFailed(f"Java wrote no archive of Kafka's classes:\n{broker.log()}")
        kept = class_archive(jars_folder())
        unfinished = kept.with_name(f"{kept.name}.{os.getpid()}")
        shutil.copyfile(written, unfinished)
        unfinished.chmod(0o644)  # the user that the servers run as reads it
        unfinished.rename(kept)
    finally:
        workdir.close()
