"""The adapters against the test gateway, whose own count is the judge; and against shapes of the real answers."""

import asyncio
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from stockade.core import NotSupported
from stockade.devservers import Servers
from stockade.devservers.gateway import GatewayClient
from stockade.gateways import (
    Approval,
    Approved,
    BadNotification,
    Declined,
    Money,
    NotAsked,
    NotFound,
    Refund,
    Refunded,
    Unknown,
)
from stockade.gateways.http_client import Limits
from stockade.gateways.registry import GATEWAYS, GatewayKeys, create
from tests.waiting import eventually

SECRET = "whsec_test"
LIMITS = Limits(connections=20, connect_s=1.0, reply_s=2.0, call_s=3.0)
FRESH = {"keyed": True, "look_up": True, "once_per_payment_key": True, "outage": False, "faults": {}, "latency_s": 0.0}


@pytest.fixture(scope="module")
def server():
    """One test gateway."""
    with Servers() as servers:
        yield servers.gateway(webhook_secret=SECRET)


@pytest.fixture
def judge(server):
    """Its control, with the behaviour of the beginning."""
    client = GatewayClient(server.url)
    client.behave(**FRESH, webhook_url="", webhook_copies=1, webhook_early=False, stores_errors=False)
    return client


@pytest.fixture(params=["stripe", "toss"])
async def gateway(request, server, judge):
    """Each adapter, over the test gateway."""
    made = create(request.param, GatewayKeys("sk_test", (SECRET,), server.url, LIMITS))
    yield made
    await made.close()


@pytest.fixture
def approval(gateway, request):
    """A function that makes the approval of this test; the same payment key is the same attempt."""

    def make(payment_key="pay", money=1_000):
        reference = f"{gateway.name}-{abs(hash(request.node.name))}-{payment_key}"[:60]
        return Approval(reference, f"key-{reference}", f"{payment_key}-{reference}", Money(money), "three books")

    return make


async def test_an_approval_is_charged_once(gateway, judge, approval):
    """Asked twice with one key, the buyer is charged once and both answers are the same."""
    wanted = approval()
    first, second = await gateway.approve(wanted), await gateway.approve(wanted)
    assert isinstance(first, Approved)
    assert first == second
    assert first.money == Money(1_000)
    assert judge.count().approved[wanted.reference] == [1_000]


async def test_the_control_without_keys_charges_twice(gateway, judge, approval):
    """A gateway that takes no key: the same two requests charge twice, and the count shows it."""
    judge.behave(keyed=False, once_per_payment_key=False)
    wanted = approval()
    await gateway.approve(wanted)
    await gateway.approve(wanted)
    assert judge.count().approved[wanted.reference] == [1_000, 1_000]
    assert wanted.reference in judge.count().charged_twice


@pytest.mark.parametrize(
    ("fault", "then"),
    [
        ("lost-reply", Approved),
        ("approve-then-error", Approved),
        ("lost-request", Unknown),
        ("error", Unknown),
    ],
)
async def test_what_is_not_definite_is_unknown(gateway, judge, approval, fault, then):
    """A lost reply and an internal error are Unknown; asking again with the same key never charges twice."""
    wanted = approval(f"fault-{fault}")
    first = await gateway.approve(wanted)
    assert isinstance(first, Unknown)
    assert isinstance(await gateway.approve(wanted), then)
    assert judge.count().approved.get(wanted.reference, []) == ([1_000] if then is Approved else [])


async def test_a_decline_is_definite(gateway, judge, approval):
    """The bank's no is Declined with the gateway's code, now and when asked again; nothing was charged."""
    wanted = approval("fault-decline")
    first = await gateway.approve(wanted)
    assert isinstance(first, Declined)
    assert first.code in ("REJECT_CARD_PAYMENT", "insufficient_funds")
    assert await gateway.approve(wanted) == first
    assert wanted.reference not in judge.count().approved
    assert wanted.reference in judge.count().declined


async def test_another_amount_is_reported_as_it_is(gateway, approval):
    """The answer names what was charged, so that the caller can compare it with what it asked for."""
    answer = await gateway.approve(approval("fault-wrong-amount"))
    assert answer.money == Money(1_001)


async def test_a_slow_gateway_ends_in_time(gateway, judge, approval):
    """No answer within the limits is Unknown, while the buyer may have been charged."""
    judge.behave(slow_s=5.0)
    wanted = approval("fault-slow")
    assert isinstance(await gateway.approve(wanted), Unknown)
    assert judge.count().approved[wanted.reference] == [1_000]


async def test_an_outage_is_unknown(gateway, judge, approval):
    """503 says nothing about the payment; afterwards the same request is charged once."""
    judge.behave(outage=True)
    wanted = approval()
    assert isinstance(await gateway.approve(wanted), Unknown)
    judge.behave(outage=False)
    assert isinstance(await gateway.approve(wanted), Approved)
    assert judge.count().approved[wanted.reference] == [1_000]


@pytest.mark.parametrize("name", sorted(GATEWAYS))
async def test_a_gateway_that_is_not_there_was_not_asked(name):
    """Nobody listens: so nothing was charged, which a lost reply would not say."""
    made = create(name, GatewayKeys("sk_test", (), "http://127.0.0.1:9", LIMITS))
    answer = await made.approve(Approval("reference", "key", "pay", Money(1)))
    await made.close()
    assert isinstance(answer, NotAsked)
    assert answer.reason.startswith("not connected")


async def test_ten_at_once_with_one_key_charge_once(gateway, judge, approval):
    """The key alone decides: the others get the first answer, or learn that the request is being worked on."""
    judge.behave(latency_s=0.02)
    wanted = approval()
    answers = await asyncio.gather(*(gateway.approve(wanted) for _ in range(10)))
    assert any(isinstance(answer, Approved) for answer in answers)
    assert all(isinstance(answer, Approved | Unknown) for answer in answers)
    assert judge.count().approved[wanted.reference] == [1_000]


async def test_a_payment_is_looked_up(gateway, judge, approval):
    """By our reference where the gateway can do that, else by its own id; what it does not know is not found."""
    wanted = approval()
    made = await gateway.approve(wanted)
    assert await gateway.look_up(wanted.reference, made.gateway_id) == made
    by_reference = await gateway.look_up("never-there")
    assert isinstance(by_reference, NotFound if gateway.capabilities.look_up else Unknown)
    if not gateway.capabilities.look_up:
        assert isinstance(await gateway.look_up("never-there", "pi_nothing"), NotFound)
    assert not isinstance(await gateway.look_up("somebody-elses", made.gateway_id), Approved)


async def test_parts_are_refunded_once_each(gateway, judge, approval):
    """A repeated refund with one key gives back once; the parts never sum to more than the payment."""
    wanted = approval()
    made = await gateway.approve(wanted)
    part = Refund(made.gateway_id, f"r1-{wanted.reference}", f"r1-{wanted.reference}", Money(300), "too late")
    for _ in range(2):
        answer = await gateway.refund(part)
        assert isinstance(answer, Refunded)
        assert answer.money == Money(300)
    too_much = Refund(made.gateway_id, f"r2-{wanted.reference}", f"r2-{wanted.reference}", Money(701), "all")
    assert isinstance(await gateway.refund(too_much), Declined)
    assert judge.count().refunded[wanted.reference] == [300]
    if gateway.capabilities.look_up:
        assert (await gateway.look_up(wanted.reference)).refunded == 300


async def test_a_refund_that_is_there_already_is_found(gateway, judge, approval):
    """After its key has expired, a repeated refund of all is refused; where refunds can be seen, ours is found."""
    wanted = approval()
    made = await gateway.approve(wanted)
    everything = Refund(made.gateway_id, f"r1-{wanted.reference}", f"r1-{wanted.reference}", Money(1_000), "all")
    assert isinstance(await gateway.refund(everything), Refunded)
    judge.behave(keyed=False)
    again = await gateway.refund(everything)
    assert isinstance(again, Refunded if gateway.name == "toss" else Declined)
    assert judge.count().refunded[wanted.reference] == [1_000]


async def test_the_control_refunds_twice_without_keys(gateway, judge, approval):
    """Without keys the same refund twice gives back twice."""
    judge.behave(keyed=False)
    wanted = approval()
    made = await gateway.approve(wanted)
    part = Refund(made.gateway_id, f"r1-{wanted.reference}", f"r1-{wanted.reference}", Money(300), "too late")
    await gateway.refund(part)
    await gateway.refund(part)
    assert judge.count().refunded[wanted.reference] == [300, 300]


@pytest.fixture
def inbox():
    """An HTTP server that keeps the notifications it receives: headers and body."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    server.received = received
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("early", [False, True])
async def test_notifications_arrive_and_are_read(gateway, judge, approval, inbox, early):
    """Twice each, before the answer or after it; both copies are one event, and about our reference."""
    judge.behave(
        webhook_url=f"http://127.0.0.1:{inbox.server_port}/",
        webhook_copies=2,
        webhook_early=early,
        webhook_secret=SECRET,
    )
    wanted = approval()
    made = await gateway.approve(wanted)
    assert not early or len(inbox.received) == 2
    await asyncio.to_thread(eventually, lambda: len(inbox.received) == 2)
    first, second = (gateway.read_notification(*each) for each in inbox.received)
    assert first == second
    assert first.reference == wanted.reference
    assert first.gateway_id == made.gateway_id
    assert first.answer == (made if gateway.capabilities.signed_notifications else None)


async def test_a_forged_notification_is_refused(gateway, judge, approval, inbox):
    """A changed body, another secret, no signature or an old one: refused where notifications are signed."""
    judge.behave(webhook_url=f"http://127.0.0.1:{inbox.server_port}/", webhook_secret=SECRET)
    await gateway.approve(approval())
    await asyncio.to_thread(eventually, lambda: len(inbox.received) == 1)
    headers, body = inbox.received[0]
    assert gateway.read_notification(headers, body)
    with pytest.raises(BadNotification):
        gateway.read_notification(headers, b"[]")
    if not gateway.capabilities.signed_notifications:
        return
    forged = body.replace(b"1000", b"9000")
    assert forged != body
    without = {name: value for name, value in headers.items() if name != "stripe-signature"}
    for bad_headers, bad_body in ((headers, forged), (without, body), (headers, b"\xff" + body)):
        with pytest.raises(BadNotification):
            gateway.read_notification(bad_headers, bad_body)
    for moved_s in (-301, 301):
        gateway._clock = lambda moved_s=moved_s: moved_s + int(headers["stripe-signature"][2:].partition(",")[0])
        with pytest.raises(BadNotification, match="last 300 s"):
            gateway.read_notification(headers, body)
    signature = headers["stripe-signature"]
    gateway._clock = lambda: 10**10
    for evaded in (f"at={10**10},{signature}", f"at=x,{signature}", f"{signature},t={10**10}"):
        with pytest.raises(BadNotification):
            gateway.read_notification({**headers, "stripe-signature": evaded}, body)
    gateway._secrets = ("another",)
    with pytest.raises(BadNotification, match="not Stripe's"):
        gateway.read_notification(headers, body)


@pytest.mark.parametrize(
    ("amount", "currency", "text"), [(1_234, "KRW", "1,234 KRW"), (1_234, "USD", "12.34 USD"), (5, "EUR", "0.05 EUR")]
)
def test_money_is_shown_in_its_unit(amount, currency, text):
    """Whole won, and cents as decimals."""
    assert str(Money(amount, currency)) == text


@pytest.mark.parametrize(("amount", "currency"), [(-1, "KRW"), (1.5, "KRW"), (True, "KRW"), (1, "XXX"), (1, "krw")])
def test_money_is_whole_and_of_a_known_currency(amount, currency):
    """Nothing is rounded or guessed."""
    with pytest.raises(ValueError, match=r"whole number|unknown currency"):
        Money(amount, currency)


def test_the_registry_says_what_is_wrong(monkeypatch):
    """An unknown name, a missing key and a missing package are told with what to do."""
    with pytest.raises(ValueError, match="known are toss, stripe"):
        create("paypal", GatewayKeys("sk"))
    with pytest.raises(ValueError, match="secret key"):
        create("toss", GatewayKeys(""))
    monkeypatch.setitem(__import__("sys").modules, "stockade.gateways.stripe", None)
    monkeypatch.setitem(__import__("sys").modules, "stripe", None)
    with pytest.raises(NotSupported, match=r"pip install 'stockade\[payments\]'"):
        create("stripe", GatewayKeys("sk"))


def test_the_test_gateway_refuses_what_it_does_not_know(judge):
    """A mistyped option or fault must not pass as a gateway without faults."""
    with pytest.raises(ValueError, match="unknown option 'outrage'"):
        judge.behave(outrage=True)
    with pytest.raises(ValueError, match="unknown fault 'lost'"):
        judge.behave(faults={"lost": 0.5})


async def test_random_faults_repeat_with_their_seed(gateway, judge, approval):
    """The same seed loses the same replies."""
    runs = []
    for run in range(2):
        judge.behave(seed=7, faults={"lost-reply": 0.5})
        answers = [await gateway.approve(approval(f"seed-{run}-{n}")) for n in range(8)]
        runs.append([type(answer) for answer in answers])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {Approved, Unknown}


@pytest.mark.parametrize(
    ("fault", "first", "given_back"),
    [
        ("decline", Declined, []),
        ("error", Unknown, []),
        ("lost-request", Unknown, []),
        ("lost-reply", Unknown, [300]),
        ("approve-then-error", Unknown, [300]),
        ("wrong-amount", Refunded, [299]),
    ],
)
async def test_faults_of_refunds(gateway, judge, approval, fault, first, given_back):
    """Each fault of the test gateway meets refunds too; asked again with the key, a refund is given back once."""
    wanted = approval(f"refund-{fault}")
    made = await gateway.approve(wanted)
    part = Refund(made.gateway_id, f"r1-{wanted.reference}"[:60], f"r1-{wanted.reference}", Money(300), "too late")
    judge.behave(faults={fault: 1.0})
    answer = await gateway.refund(part)
    found_by_look_up = gateway.name == "toss" and fault == "approve-then-error"
    assert isinstance(answer, Refunded if found_by_look_up else first), answer
    assert judge.count().refunded.get(wanted.reference, []) == given_back
    judge.behave(faults={})
    again = await gateway.refund(part)
    assert judge.count().refunded.get(wanted.reference, []) == (given_back or [300] * isinstance(again, Refunded))


async def test_lost_notifications_are_counted(gateway, judge, approval):
    """Nobody listens: the count says how many deliveries were lost."""
    before = judge.count().lost_notifications
    judge.behave(webhook_url="http://127.0.0.1:9/", webhook_copies=2, webhook_early=True)
    await gateway.approve(approval())
    assert judge.count().lost_notifications == before + 2
