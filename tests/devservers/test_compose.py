"""compose.yaml, for those with docker: what it says fits what the tests ask for, and Kafka knows its settings."""

import re
from pathlib import Path

import pytest
import yaml

from stockade.devservers.existing import VARIABLES
from stockade.devservers.kafka.download import FILES

TEXT = (Path(__file__).parents[2] / "compose.yaml").read_text(encoding="utf-8")
SERVICES = yaml.safe_load(TEXT)["services"]
# What Kafka reads, but does not list as settings of a broker that runs
ONLY_AT_START = {"advertised.listeners", "controller.quorum.voters"}


def properties():
    """The broker's settings as Kafka's own image makes them of the environment."""
    given = SERVICES["kafka"]["environment"]
    return {name.removeprefix("KAFKA_").lower().replace("_", "."): value for name, value in given.items()}


def test_every_server_that_tests_can_use_is_there():
    """One service for each variable, reachable from this machine only, at the address in the lines to export."""
    assert set(SERVICES) == set(VARIABLES)
    for kind, variable in VARIABLES.items():
        service = SERVICES[kind]
        (port,) = service["ports"]
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)
        assert service["healthcheck"]["test"][0] == "CMD"
        address = re.search(rf"export {variable}=(\S+)", TEXT).group(1)
        assert port.rpartition(":")[0] in address


def test_kafka_is_of_the_version_that_is_tested():
    """The image has the version of the jars that our private brokers run."""
    version = re.search(r"<kafka.version>(.+)</kafka.version>", (FILES / "pom.xml").read_text())[1]
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{version}"


def test_kafka_on_one_broker_keeps_its_own_topics_once():
    """With the defaults of three copies, groups and transactions would wait for ever."""
    found = properties()
    assert {value for name, value in found.items() if name.endswith(("replication.factor", "min.isr"))} == {"1"}
    assert found["auto.create.topics.enable"] == "false"
    assert int(found["group.min.session.timeout.ms"]) <= 1_500, "tests of take-over use short sessions"


@pytest.mark.kafka
def test_kafka_knows_every_setting(kafka_bootstrap):
    """A setting with a slip in its name would be ignored in silence: a real broker lists those that it knows."""
    from confluent_kafka.admin import AdminClient, ConfigResource

    admin = AdminClient({"bootstrap.servers": kafka_bootstrap})
    (node, *_) = admin.list_topics(timeout=15).brokers
    broker = ConfigResource(ConfigResource.Type.BROKER, str(node))
    known = set(admin.describe_configs([broker])[broker].result(15))
    assert set(properties()) - known <= ONLY_AT_START
    assert "offsets.topic.replication.facto" not in known
