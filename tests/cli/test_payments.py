"""`stockade payments`: what is unresolved, a person's decision, and the gateway's answers beside ours."""

import asyncio
import json

import pytest
import structlog.testing
from sqlalchemy import update
from typer.testing import CliRunner

from stockade.cli import app
from stockade.core.clock import now_ms
from stockade.devservers import Servers
from stockade.devservers.gateway import GatewayClient
from stockade.service.ids import new_request_id
from stockade.shop.audit import audit
from stockade.shop.bootstrap import open_shop
from stockade.shop.commands import CancelOrder, ClaimPayment, OrderLine, PlaceOrder
from stockade.shop.config.settings import Settings
from stockade.shop.demo import create_demo
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.tables import payment_attempts, refunds
from stockade.store import Database
from tests.shop.conftest import soon
from tests.shop.gateway_shop import with_gateway

SHOP, IDS = with_gateway()


def said(*words, **env):
    """The exit code of the command line, and what it prints."""
    done = CliRunner().invoke(app, ["payments", *words], env={"COLUMNS": "200", **env})
    return done.exit_code, done.stdout, done.stderr


def with_database(url, work):
    """The result of some work on an opened database."""

    async def run():
        database = await Database.open(url)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())


def change(url, statement):
    """Carry out a statement."""
    with_database(url, lambda database: database.transaction(lambda conn: conn.execute(statement), deadline=soon()))


@pytest.fixture
def url(tmp_path, monkeypatch):
    """A database in which everything has happened to payments."""
    monkeypatch.chdir(tmp_path)

    async def fill(database):
        await SCHEMA.migrate(database)
        await database.transaction(SHOP.fill, deadline=soon())

    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    with_database(url, fill)
    return url


def test_what_is_unresolved_is_listed(url):
    """Open payments, refunds that are owed, and refused ones; not what is settled. In 60 columns no line is longer.
    With another gateway, or none, the list names the one that a process must have."""
    code, printed, _ = said("list", "--unresolved", "--json", "--database", url, "--set", "gateway=toss")
    found = {each["id"]: each["waits_for"] for each in json.loads(printed)}
    reconciler, person = "the reconciler", "a person"
    expected = {"pay_paying": reconciler, "pay_unknown": reconciler, "pay_person": person, "refund_refused": person}
    named = {name: found[id_] for name, id_ in IDS.items() if id_ in found}
    assert (code, named) == (0, {**expected, "refund_open": reconciler})
    code, printed, _ = said("list", "--unresolved", "--json", "--database", url)
    elsewhere = {each["id"] for each in json.loads(printed) if each["waits_for"] == "a process with gateway=toss"}
    assert elsewhere == {id_ for id_, waits_for in found.items() if waits_for == reconciler}
    code, printed, _ = said("list", "--unresolved", "--database", url, COLUMNS="60")
    assert max(map(len, printed.splitlines())) <= 60
    assert all(id_ in printed for id_ in found)
    code, printed, _ = said("list", "--limit", "1", "--database", url)
    assert (code, len(printed.splitlines())) == (0, 3)


def test_one_payment_is_shown(url):
    """Its states in order and its refunds; a refund too; an id that nothing has is refused."""
    code, printed, _ = said("show", IDS["pay_cancelled"], "--database", url)
    lines = [line.split() for line in printed.splitlines()]
    assert code == 0
    assert [line[2] for line in lines if line[0] == "state"] == ["APPROVING", "APPROVED", "CANCELLED"]
    assert [line[1:3] for line in lines if line[0] == "refund"] == [[IDS["refund_cancelled"], "REFUNDED"]]
    code, printed, _ = said("show", IDS["refund_refused"], "--json", "--database", url)
    assert json.loads(printed)["record"]["waits_for"] == "a person"
    assert "charged" not in said("show", IDS["refund_refused"], "--database", url)[1]
    assert "charged 1,000 KRW" in " ".join(said("show", IDS["pay_cancelled"], "--database", url)[1].split())
    error = said("resolve", IDS["refund_refused"], "--declined", "--database", url)[2]
    assert "is a refund: say --refunded" in error
    assert said("show", "ghost", "--database", url)[0] == 2


def test_a_person_decides(url):
    """An approval pays the order, a refund is recorded as done; the audit stays green, and the first answer counts."""
    payment, refund = IDS["pay_person"], IDS["refund_refused"]
    at = ("--database", url)
    assert said("resolve", payment, "--approved", "toss-9", *at)[:2] == (0, f"{payment}: APPROVED\n")
    code, _, error = said("resolve", payment, "--declined", *at)
    assert (code, "is APPROVED" in error) == (2, True)
    assert said("resolve", refund, "--refunded", "by hand", *at)[:2] == (0, f"{refund}: REFUNDED\n")
    code, _, error = said("resolve", refund, "--refunded", "again", *at)
    assert (code, "is REFUNDED already" in error) == (2, True)
    found = with_database(url, lambda database: database.read(audit))
    assert {each.rule for each in found} == {"payment-overdue"}  # what was open years ago
    printed = said("list", "--unresolved", *at)[1]
    assert [id_ for id_ in (payment, refund) if id_ in printed] == []


def test_nobody_decides_beside_the_reconciler(url):
    """What a program can still find out is no matter of opinion; neither is an id of nothing, or two answers."""
    at = ("--database", url)
    for due_ms, said_so in ((now_ms() + 60_000, "acts again at"), (now_ms() - 60_000, "with gateway=toss runs")):
        for table in (payment_attempts, refunds):
            change(url, update(table).where(table.c.resolve_at_ms > 0).values(resolve_at_ms=due_ms))
        for id_, answer in (("pay_unknown", "--approved"), ("pay_paying", "--approved"), ("refund_open", "--refunded")):
            code, _, error = said("resolve", IDS[id_], answer, "toss-9", *at)
            assert (code, "the reconciler is still at" in error, said_so in error) == (2, True, True)
    person = IDS["pay_person"]
    for words in (("ghost", "--declined"), (person, "--declined", "--approved", "x"), (person,)):
        assert said("resolve", *words, *at)[0] == 2
    assert said("resolve", person, "--declined", *at)[1] == f"{person}: DECLINED\n"


def test_a_person_decides_what_no_process_acts_on(url):
    """It was due long ago, so no process has its gateway any more: the audit complains until all is decided."""
    at = ("--database", url)
    open_, owed = ("pay_unknown", "pay_paying"), "refund_open"
    assert said("resolve", IDS[open_[0]], "--approved", "toss-9", *at)[1] == f"{IDS[open_[0]]}: APPROVED\n"
    assert {each.rule for each in with_database(url, lambda database: database.read(audit))} == {"payment-overdue"}
    assert said("resolve", IDS[open_[1]], "--declined", *at)[1] == f"{IDS[open_[1]]}: DECLINED\n"
    assert said("resolve", IDS[owed], "--refunded", "transfer 7", *at)[1] == f"{IDS[owed]}: REFUNDED\n"
    left = json.loads(said("list", "--unresolved", "--json", *at)[1])
    assert not {IDS[name] for name in (*open_, owed)} & {each["id"] for each in left}
    for each in left:
        if each["kind"] == "refund" and each["waits_for"].startswith("a process"):
            assert said("resolve", each["id"], "--refunded", "transfer 8", *at)[0] == 0
    assert not with_database(url, lambda database: database.read(audit))


@pytest.mark.parametrize(("gateway", "said_so"), [("none", 1), ("toss", 0)])
def test_a_process_says_at_its_start_what_waits_for_another_gateway(url, gateway, said_so):
    """In one line of its log, which names how much; a process with that gateway has nothing to say."""

    async def start():
        async with open_shop(Settings(database=url, gateway=gateway, gateway_secret="test_sk_x")):
            pass

    with structlog.testing.capture_logs() as lines:
        asyncio.run(start())
    found = [line for line in lines if "another gateway" in line["event"]]
    assert [(line["log_level"], line["count"]) for line in found] == [("warning", 5)] * said_so


def test_a_refused_refund_is_asked_for_again(tmp_path, monkeypatch, gateway):
    """Not without the gateway; with it a new refund takes the place of the refused one, and both are shown."""
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    given = {"gateway": "toss", "gateway_secret": "test_sk_x", "gateway_url": gateway.url}
    settings = Settings(database=url, gateway_call_s=5.0, **given)
    _, cancelled, _ = asyncio.run(pay(settings, refund="REFUSED", judge=GatewayClient(gateway.url)))
    options = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
    (refused,) = json.loads(said("show", cancelled, "--json", "--database", url)[1])["refunds"]
    assert refused["waits_for"] == "a person"
    code, _, error = said("resolve", refused["id"], "--retry", "--database", url)
    assert (code, "needs the gateway" in error) == (2, True)
    code, printed, _ = said("resolve", refused["id"], "--retry", "--database", url, *options)
    new = printed.split()[3].rstrip(",")
    assert (code, printed) == (0, f"{refused['id']}: REPLACED by {new}, which is REFUNDED\n")
    printed = said("show", refused["id"], "--database", url)[1]
    assert f"replaced by  {new}" in printed
    assert [line.split()[2] for line in printed.splitlines() if line.startswith("state")][-2:] == [
        "REFUSED",
        "REPLACED",
    ]
    code, _, error = said("resolve", refused["id"], "--refunded", "x", "--database", url)
    assert (code, f"was replaced by {new}" in error) == (2, True)
    assert not with_database(url, lambda database: database.read(audit))


@pytest.fixture(scope="module")
def gateway():
    """A test gateway."""
    with Servers() as servers:
        yield servers.gateway()


def new():
    """A request id, twice, and the time: the head of a command."""
    id_ = new_request_id(now_ms())
    return id_, id_, now_ms()


async def pay(settings, *, refund="REFUNDED", judge=None):
    """The ids of three payments: of an order, of one that is cancelled again, and a declined one."""
    async with open_shop(settings, jobs=False, before=SCHEMA.migrate) as shop:
        await create_demo(shop.execute, 1, 1, 10, 1, now_ms=now_ms())
        paid = []
        for key in ("key-1", "key-2", "fault-decline"):
            placed = await shop.execute(PlaceOrder(*new(), "u", (OrderLine("sku-1", 1),), "LATER"))
            head, order_id = new(), placed.data["order_id"]
            what = ("order", order_id, "u", f"{key}-{order_id}", 1_000, "KRW", "toss", now_ms() + 60_000)
            outcome = await shop.payments.execute(ClaimPayment(*head, head[0], *what))
            paid.append((head[0], outcome.data["status"]))
            if key == "key-2":
                if judge:
                    judge.behave(faults={"decline": 1.0})
                cancelled = await shop.payments.execute(CancelOrder(*new(), order_id, "u", ""))
                assert cancelled.data["refunds"][0]["status"] == refund
                if judge:
                    judge.behave(faults={})
        assert [status for _, status in paid] == ["APPROVED", "APPROVED", "DECLINED"]
        return [payment_id for payment_id, _ in paid]


def test_the_gateway_is_compared_with_us(tmp_path, monkeypatch, gateway):
    """Alike: 0. A forgotten charge, a forged amount and an invented payment are found: 1. No answer: 2."""
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    given = {"gateway": "toss", "gateway_secret": "test_sk_x", "gateway_url": gateway.url}
    paid, cancelled, declined = asyncio.run(pay(Settings(database=url, gateway_call_s=5.0, **given)))
    options = [word for name, value in given.items() for word in ("--set", f"{name}={value}")]
    words = ("reconcile", "--report", "--pace", "1000", "--json", "--database", url, *options)

    def compared():
        code, printed, _ = said(*words)
        found = json.loads(printed)
        return code, found["alike"], {each["payment_id"] for each in found["differences"]}

    def change_attempt(payment_id, **values):
        change(url, update(payment_attempts).where(payment_attempts.c.id == payment_id).values(**values))

    assert compared() == (0, 3, set())
    change_attempt(paid, status="DECLINED", charged=0)
    change_attempt(cancelled, charged=2_000)
    change_attempt(declined, status="APPROVED", charged=1_000)
    assert compared() == (1, 0, {paid, cancelled, declined})
    for payment_id, status, charged in ((paid, "APPROVED", 1_000), (cancelled, "CANCELLED", 1_000)):
        change_attempt(payment_id, status=status, charged=charged)
    change_attempt(declined, status="DECLINED", charged=0)
    GatewayClient(gateway.url).behave(outage=True)
    code, _, error = said(*words)
    assert (code, "no answer about 3 payments" in error) == (2, True)
    other = ("--set", "gateway=test", "--set", f"gateway_url={gateway.url}")
    code, printed, error = said("reconcile", "--report", "--database", url, *other)
    assert (code, "of another gateway: 3" in printed, "nothing could be compared" in error) == (2, True, True)
    for wrong in (words[:1], ("reconcile", "--report")):
        assert said(*wrong, "--database", url)[0] == 2
