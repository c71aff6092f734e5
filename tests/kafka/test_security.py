"""Encryption and login of every Kafka client: which clients a broker accepts, and how it refuses the others."""

import asyncio
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

import pytest

from stockade.core import Busy
from stockade.devservers import Servers, ServerUnavailable
from stockade.kafka import client
from stockade.kafka.admin import Admin, read_topic
from stockade.kafka.producer import Producer
from stockade.kafka.reply_reader import ReplyReader
from stockade.kafka.security import KafkaBrokers, KafkaSecurity
from stockade.shop.config.kafka_brokers import brokers_of
from stockade.shop.config.settings import BadSetting, Settings
from tests.cli.service import Service, audited, environment, prepared, stockade
from tests.cli.test_serve import place
from tests.devservers.pool import memory_folder
from tests.waiting import eventually_async

pytestmark = pytest.mark.kafka
REFUSED_S = 10  # no refusal takes longer; a hang would
WRONG = "a-wrong-password"


@pytest.fixture(scope="module")
def access():
    """A broker with TLS, SASL and both; ends with this file."""
    with Servers(memory_folder()) as servers:
        try:
            yield servers.kafka(secured=True).secured
        except ServerUnavailable as error:
            pytest.skip(f"left out: kafka ({error})")


def way(access, name):
    """The listener's address and the security of a way in."""
    tls = KafkaSecurity("ssl", ssl_ca=str(access.ca), ssl_cert=str(access.cert), ssl_key=str(access.key))
    login = {"username": access.username, "password": access.password}
    both = KafkaSecurity("sasl_ssl", "SCRAM-SHA-512", ssl_ca=str(access.ca), **login)
    locked = {"ssl_key": str(access.locked_key), "ssl_key_password": access.key_password}
    ways = {
        "tls": ("TLS", tls),
        "tls, encrypted key": ("TLS", replace(tls, **locked)),
        "login": ("LOGIN", KafkaSecurity("sasl_plaintext", "PLAIN", **login)),
        "PLAIN": ("SECURE", replace(both, sasl_mechanism="PLAIN")),
        "SCRAM-SHA-256": ("SECURE", replace(both, sasl_mechanism="SCRAM-SHA-256")),
        "SCRAM-SHA-512": ("SECURE", both),
        "wrong password": ("SECURE", replace(both, password=WRONG)),
        "wrong password, PLAIN": ("SECURE", replace(both, sasl_mechanism="PLAIN", password=WRONG)),
        "wrong authority": ("SECURE", replace(both, ssl_ca=str(access.other_ca))),
        "the system's authorities": ("SECURE", replace(both, ssl_ca="")),
        "no certificate": ("TLS", replace(tls, ssl_cert="", ssl_key="")),
        "another host": ("SECURE", both),
        "another host, unchecked": ("SECURE", replace(both, ssl_check_hostname=False)),
        "plain text at TLS": ("SECURE", KafkaSecurity()),
    }
    listener, security = ways[name]
    where = access.urls[listener]
    return KafkaBrokers(where.replace("127.0.0.1", "localhost") if "another host" in name else where, security)


INSIDE = ["tls", "tls, encrypted key", "login", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "another host, unchecked"]


@pytest.mark.parametrize("name", INSIDE)
async def test_every_client_gets_in(access, name):
    """Admin, producer, reader and reply reader all connect in each way, and a message goes through."""
    brokers, topic = way(access, name), f"secure-{uuid4().hex}"
    assert await asyncio.to_thread(Admin(brokers).create_topic, topic, 1, -1, {}) == 1
    received = asyncio.get_running_loop().create_future()
    replies = ReplyReader(brokers, topic, lambda value: received.done() or received.set_result(value))
    producer = Producer(brokers)
    try:
        await producer.deliver(topic, b"hello", key=None, headers={}, wait_s=15)
        assert await asyncio.wait_for(received, 15) == b"hello"
    finally:
        await asyncio.to_thread(producer.close)
        await asyncio.to_thread(replies.close)
    (record,) = await asyncio.to_thread(read_topic, brokers, topic, 10)
    assert record.value == b"hello"
    admin = Admin(brokers)
    assert (await asyncio.to_thread(admin.offset_ranges, topic))[0].end == 1
    assert not await asyncio.to_thread(admin.has_members, topic)


OUTSIDE = [
    ("wrong password", "SASL authentication error.*invalid credentials"),
    ("wrong password, PLAIN", "SASL authentication error.*Invalid username or password"),
    ("wrong authority", "certificate verify failed.*kafka_ssl_ca"),
    ("the system's authorities", "certificate verify failed"),
    ("no certificate", "alert bad certificate"),
    ("another host", "certificate verify failed|hostname mismatch"),
]
QUESTIONS = {
    "make a topic": lambda brokers: Admin(brokers).create_topic("t", 1, -1, {}),
    "look for a topic": lambda brokers: Admin(brokers).partition_count("t"),
    "offset ranges": lambda brokers: Admin(brokers).offset_ranges("t"),
    "members": lambda brokers: Admin(brokers).has_members("t"),
}


@pytest.mark.parametrize(("name", "message"), OUTSIDE)
def test_a_refusal_is_noticed_by_every_question(access, name, message):
    """The client library would try again for ever; each question ends at once with the reason and no password."""
    for ask in QUESTIONS.values():
        began_s = time.monotonic()
        with pytest.raises(Busy, match=message) as refused:
            ask(way(access, name))
        assert time.monotonic() - began_s < REFUSED_S
        assert WRONG not in str(refused.value)
        assert "\n" not in str(refused.value)


def test_without_the_reports_a_refusal_is_only_silence(access, monkeypatch):
    """The control: without the reports a call waits for the whole time, and its error does not name the password."""
    monkeypatch.setattr(client.ErrorReports, "__call__", lambda self, error: None)
    with pytest.raises(Busy) as refused:
        Admin(way(access, "wrong password"), 1.0).partition_count("t")
    assert "SASL" not in str(refused.value)


def test_another_protocol_than_the_listeners_is_named(access):
    """Plain text at a listener with TLS: no answer, so the message names the settings to look at."""
    with pytest.raises(Busy, match="do kafka_bootstrap and kafka_security fit a listener"):
        Admin(way(access, "plain text at TLS"), 2.0).partition_count("t")


def settings_of(access, **changes):
    """The settings of the way `SCRAM-SHA-512`."""
    return {
        "kafka_bootstrap": access.urls["SECURE"],
        "kafka_security": "sasl_ssl",
        "kafka_sasl_mechanism": "SCRAM-SHA-512",
        "kafka_username": access.username,
        "kafka_password": access.password,
        "kafka_ssl_ca": str(access.ca),
        "kafka_topic": f"shop-{uuid4().hex}",
        "events_topic": f"events-{uuid4().hex}",
        "kafka_group": f"group-{uuid4().hex}",
        **changes,
    }


async def test_an_order_end_to_end(access, tmp_path):
    """serve, worker, relay, metrics and the commands over SASL and TLS: 20 of 30 are sold; no password is printed."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    await prepared(url, products=1, stock=20)
    given = settings_of(access, database=url, wait_s=30, events="kafka")
    with Service(tmp_path, "--strategy", "kafka", **given) as service, (tmp_path / "worker.log").open("w") as log:
        command = [sys.executable, "-m", "stockade", "worker"]
        worker = subprocess.Popen(command, cwd=tmp_path, env=environment(**given), stderr=log, stdout=log)
        try:
            async with service.client("user-1") as http:
                answers = await asyncio.gather(*(place(http, number) for number in range(30)))
                metrics = (await http.get("/metrics")).text
            brokers = KafkaBrokers(given["kafka_bootstrap"], way(access, "SCRAM-SHA-512").security)
            await eventually_async(lambda: sold_events(brokers, given["events_topic"]), 30)
            shown = [stockade(tmp_path, *words, **given) for words in (("positions", "list"), ("dead-letters", "list"))]
        finally:
            worker.send_signal(signal.SIGTERM)
            code = await asyncio.to_thread(worker.wait, 30)
        assert service.stop() == 0
    assert Counter(answer.status_code for answer in answers) == {201: 20, 409: 10}
    assert [each.returncode for each in shown] == [0, 0]
    assert code == 0
    printed = service.log.read_text() + (tmp_path / "worker.log").read_text() + metrics
    assert access.password not in printed + "".join(each.stdout + each.stderr for each in shown)
    assert (await audited(url))[1] == []


async def sold_events(brokers, topic):
    """Whether every order's event has arrived."""
    with suppress(Busy):
        parts = range(await asyncio.to_thread(Admin(brokers).partition_count, topic))
        found = [await asyncio.to_thread(read_topic, brokers, topic, 1000, part) for part in parts]
        kinds = Counter(record.headers.get("ce_type") for each in found for record in each)
        return kinds[b"order.placed"] == 20
    return False


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"kafka_password": WRONG}, "SASL authentication error"),
        ({"kafka_ssl_ca": "other_ca"}, "certificate verify failed"),
    ],
    ids=["wrong password", "wrong authority"],
)
@pytest.mark.parametrize(
    "words", [("serve", "--strategy", "kafka", "--port", 0), ("worker",)], ids=lambda each: each[0]
)
def test_a_refused_start_is_one_line(access, tmp_path, words, change, reason):
    """serve and worker end with the reason and exit code 2, and print no password."""
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    asyncio.run(prepared(url, products=1))
    change = {name: str(access.other_ca) if value == "other_ca" else value for name, value in change.items()}
    given = settings_of(access, database=url, **change)
    began_s = time.monotonic()
    refused = stockade(tmp_path, *words, **given)
    assert time.monotonic() - began_s < 3 * REFUSED_S
    assert refused.returncode == 2, refused.stderr
    (line,) = refused.stderr.splitlines()
    assert reason in line
    assert given["kafka_password"] not in refused.stderr + refused.stdout


LOGIN = {"kafka_username": "u", "kafka_password": "secret-p"}
SASL = {"kafka_security": "sasl_ssl", "kafka_sasl_mechanism": "PLAIN", **LOGIN}
CONTRADICTIONS = [
    ({"kafka_security": "tls"}, "kafka_security = 'tls': must be one of plaintext, ssl"),
    ({"kafka_security": "sasl_ssl"}, "needs kafka_sasl_mechanism, kafka_username, kafka_password"),
    ({**SASL, "kafka_password": ""}, "kafka_security = 'sasl_ssl' needs kafka_password"),
    ({**SASL, "kafka_sasl_mechanism": "GSSAPI"}, "kafka_sasl_mechanism = 'GSSAPI': must be one of none, PLAIN"),
    ({**SASL, "kafka_security": "ssl"}, "only with kafka_security sasl_plaintext or sasl_ssl, not 'ssl'"),
    ({**SASL, "kafka_security": "plaintext"}, "only with kafka_security sasl_plaintext or sasl_ssl"),
    ({"kafka_bootstrap": "u:secret-p@h:9"}, "kafka_bootstrap = 'u:***@h:9': must be host:port separated by commas"),
    ({"kafka_bootstrap": "h:9,SSL://h2:9"}, "kafka_bootstrap = 'h:9,SSL://h2:9': must be host:port"),
    ({"kafka_ssl_ca": "ca.pem"}, "kafka_ssl_ca: only with kafka_security ssl or sasl_ssl, not 'plaintext'"),
    ({"kafka_ssl_check_hostname": "no"}, "kafka_ssl_check_hostname: only with kafka_security ssl"),
    ({"kafka_security": "ssl", "kafka_ssl_ca": "nowhere.pem"}, "kafka_ssl_ca=nowhere.pem: No such file"),
    ({"kafka_security": "ssl", "kafka_ssl_cert": "c.pem"}, "kafka_ssl_cert and kafka_ssl_key are needed together"),
    (
        {"kafka_security": "ssl", "kafka_ssl_key_password": "secret-p"},
        "kafka_ssl_key_password: only with kafka_ssl_key",
    ),
    ({**SASL, "kafka_password": "secret-p\n"}, "kafka_password = …: must be text"),
]


@pytest.mark.parametrize(("given", "message"), CONTRADICTIONS)
def test_what_does_not_fit_together_is_refused(given, message):
    """One line that names the setting; never a password, also with a newline at its end."""
    with pytest.raises(BadSetting) as refused:
        brokers_of(Settings(**given))
    assert message in str(refused.value)
    assert "secret-p" not in str(refused.value)


def test_no_password_in_a_repr():
    """Settings and what is made of them show who logs in, not with what."""
    settings = Settings(**SASL)
    for shown in (repr(settings), repr(brokers_of(settings))):
        assert "secret-p" not in shown
        assert "kafka_username" in shown or "username='u'" in shown
