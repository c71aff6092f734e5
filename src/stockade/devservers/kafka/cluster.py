"""A private Apache Kafka (KRaft): one node, or three that are broker and controller each.

Neighbours: `download.py` fetches it, `tls.py` secures it, `devservers/process.py` runs each node.
"""

import base64
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from stockade.devservers.errors import ServerFailed
from stockade.devservers.kafka.download import FILES, class_archive, fetch_jars, find_java, find_maven, jars_folder
from stockade.devservers.kafka.tls import LISTENERS, Secured, broker_settings, format_options, issue
from stockade.devservers.launch import Program
from stockade.devservers.process import HOST, Server, ServerSpec, free_port
from stockade.devservers.workdir import WorkDir

KIND = "kafka"
WRITTEN = "classes.jsa"  # the archive of classes in the folder of a broker that is to write one
_FORMAT_HEAP_MB = 128
_REPLICATED = (
    "default.replication.factor",
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
    "share.coordinator.state.topic.replication.factor",
)
_IN_SYNC = ("min.insync.replicas", "transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr")


class KafkaCluster:
    """The brokers of one cluster.

    Attributes:
        brokers: the nodes; each can be killed, paused and restarted.
        url: bootstrap servers, `host:port,…`.
        secured: listeners with encryption and login; None if there are none.
    """

    def __init__(self, brokers: Sequence[Server], secured: Secured | None = None) -> None:
        self.brokers = tuple(brokers)
        self.secured = secured
        self.url = ",".join(broker.url for broker in brokers)

    def __repr__(self) -> str:
        return f"<kafka {self.url}>"

    def start(self) -> None:
        """Start all nodes at once, because the first one is ready only when a majority runs."""
        try:
            with ThreadPoolExecutor(len(self.brokers)) as threads:
                list(threads.map(Server.start, self.brokers))
        except ServerFailed:
            for broker in self.brokers:
                broker.end()
            raise


def find() -> Program:
    """Java, if the jars exist or can be fetched.

    Raises:
        ServerUnavailable: Java or Maven is missing; the message says what to install.
    """
    java = find_java()
    if not jars_folder().is_dir():
        find_maven()
    return java


def create(
    workdir: WorkDir,
    brokers: int,
    heap_mb: int,
    settings: dict[str, object],
    *,
    long_lived: bool = False,
    secured: bool = False,
    archive_classes: bool = False,
) -> KafkaCluster:
    """Format the data directories of a new cluster; nothing runs yet.

    Args:
        workdir: of the group.
        brokers: 1, or 3 with replication 3 and min.insync.replicas 2.
        heap_mb: Java heap of each broker in MB.
        settings: further broker settings; an underscore stands for a dot.
        long_lived, secured: see `Servers.kafka`.
        archive_classes: each broker that is stopped leaves an archive of its classes, see `class_archive.py`.

    Raises:
        ServerUnavailable: Java, Maven, the jars or openssl are missing.
    """
    if brokers not in (1, 3) or (secured and brokers != 1):
        raise ValueError(f"1 or 3 brokers, or one that is secured, not {brokers}")
    access = _secure(workdir) if secured else None
    java, jars = find(), workdir.accessible_tree(fetch_jars())
    ports = [(free_port(), free_port()) for _ in range(brokers)]
    voters = ",".join(f"{node}@{HOST}:{controller}" for node, (_, controller) in enumerate(ports, 1))
    cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")  # "-…" is an option
    shared = {"controller.quorum.voters": voters, **_replication(brokers), **_dotted(settings)}

    def node(number: int) -> Server:
        port, controller = ports[number - 1]
        folder = workdir.new_folder(KIND)
        _write_settings(folder, {**_node(number, port, controller, folder, access), **shared})
        form = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(folder / "server.properties")]
        form += format_options(access) if access else []
        workdir.run(java, [*_java(folder, jars, _FORMAT_HEAP_MB), *form])
        options = _java(folder, jars, heap_mb, long_lived)
        options += [f"-XX:ArchiveClassesAtExit={folder / WRITTEN}"] if archive_classes else []
        return Server(_spec(java, options, folder, port), folder, workdir.user)

    with ThreadPoolExecutor(brokers) as threads:
        return KafkaCluster(list(threads.map(node, range(1, brokers + 1))), access)


def _secure(workdir: WorkDir) -> Secured:
    """Choose ports for the listeners, and make certificates."""
    urls = {name: f"{HOST}:{free_port()}" for name in LISTENERS}
    return issue(workdir.new_folder(f"{KIND}-tls"), urls, HOST)


def _spec(java: Program, options: Sequence[str], folder: Path, port: int) -> ServerSpec:
    return ServerSpec(
        kind=KIND,
        program=java,
        arguments=(*options, "kafka.Kafka", str(folder / "server.properties")),
        port=port,
        url=f"{HOST}:{port}",
        ready="Kafka Server started",  # the port opens earlier, before the broker may serve
        start_limit_s=90.0,
    )


def _java(folder: Path, jars: Path, heap_mb: int, long_lived: bool = False) -> list[str]:
    """Java's options. Without `long_lived` only the first compiler: the broker starts twice as fast and stays small."""
    return [
        f"-Xms{heap_mb}m",
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        *(() if long_lived else ("-XX:TieredStopAtLevel=1",)),
        "-XX:MaxDirectMemorySize=64m",
        "-XX:-UsePerfData",
        f"-Djava.io.tmpdir={folder}",
        "-Djava.awt.headless=true",
        f"-Dlog4j2.configurationFile={folder / 'log4j2.xml'}",
        f"-Dkafka.logs.dir={folder}",
        *_shared_classes(class_archive(jars)),
        "-cp",
        f"{jars}/*",
    ]


def _shared_classes(archive: Path) -> list[str]:
    """Options to read an archive of classes, if there is one; one that does not fit is ignored in silence."""
    return [f"-XX:SharedArchiveFile={archive}", "-Xlog:cds=error"] if archive.exists() else []


def _node(number: int, port: int, controller: int, folder: Path, secured: Secured | None) -> dict[str, object]:
    addresses = f"PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller}"
    if secured is not None:
        addresses = ",".join([addresses, *(f"{name}://{url}" for name, url in secured.urls.items())])
    return {
        **(broker_settings(secured) if secured else {}),
        "node.id": number,
        "listeners": addresses,
        "advertised.listeners": addresses,
        "log.dirs": folder / "data",
    }


def _replication(brokers: int) -> dict[str, object]:
    """Set it for internal topics too: with their default of 3, groups and transactions wait forever on one broker."""
    return {**dict.fromkeys(_REPLICATED, brokers), **dict.fromkeys(_IN_SYNC, brokers // 2 + 1)}


def _dotted(settings: dict[str, object]) -> dict[str, object]:
    return {name.replace("_", "."): value for name, value in settings.items()}


def _write_settings(folder: Path, settings: dict[str, object]) -> None:
    lines = "".join(f"{name}={value}\n" for name, value in settings.items())
    (folder / "server.properties").write_text((FILES / "server.properties").read_text() + lines)
    (folder / "log4j2.xml").write_text((FILES / "log4j2.xml").read_text())
