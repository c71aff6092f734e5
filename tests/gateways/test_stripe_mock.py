"""Our requests to Stripe against stripe-mock, the vendor's own stateless stand-in, which checks every parameter.

It is a Go module: `STOCKADE_STRIPE_MOCK_BIN`, PATH, or built where Go 1.22 or later is. Without, it is named as left
out; it is not part of `--require all`.
"""

import os
import re
import shutil
import subprocess

import pytest

from stockade.devservers.launch import Program
from stockade.devservers.process import HOST, Server, ServerSpec, free_port
from stockade.devservers.programs import cache_folder, find_program
from stockade.gateways import Approval, Money, Refund, Refunded, Unknown
from stockade.gateways.stripe import Stripe

MODULE = "github.com/stripe/stripe-mock@v0.203.0"
BUILD_S = 300
OTHER = Unknown("an answer about another payment")  # it was accepted; the mock repeats nothing of the request


def program():
    """The program, built if need be."""
    built = Program(cache_folder() / "go" / "stripe-mock")
    found = find_program("STOCKADE_STRIPE_MOCK_BIN", ("stripe-mock",), [built])
    if found is not None:
        return found
    go = shutil.which("go")
    if go is None or not _is_new_enough(go):
        pytest.skip("left out: stripe_mock (no Go 1.22 or later)")
    environment = {**os.environ, "GOBIN": str(built.path.parent), "GOFLAGS": "-mod=mod"}
    made = subprocess.run([go, "install", MODULE], env=environment, capture_output=True, timeout=BUILD_S, check=False)
    if made.returncode:
        pytest.skip("left out: stripe_mock (Go could not install it)")
    return built


def _is_new_enough(go):
    told = subprocess.run([go, "version"], capture_output=True, text=True, check=True).stdout
    version = re.search(r"go1\.(\d+)", told)
    return version is not None and int(version[1]) >= 22


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A stripe-mock."""
    port, found = free_port(), program()
    spec = ServerSpec(
        kind="stripe-mock",
        program=found,
        arguments=("-http-addr", f"{HOST}:{port}"),
        port=port,
        url=f"http://{HOST}:{port}",
        ready="Listening for HTTP",
    )
    server = Server(spec, tmp_path_factory.mktemp("stripe-mock"), None)
    server.start()
    yield server.url
    server.kill()


@pytest.fixture
async def gateway(url):
    """The adapter over it."""
    made = Stripe("sk_test_123", url=url)
    yield made
    await made.close()


async def test_our_requests_are_valid(gateway):
    """Approve, look up and refund: every parameter is one of Stripe's, of its type."""
    approval = Approval("order-0001-1", "order-0001-1", "pm_card_visa", Money(15_000), "three books")
    assert await gateway.approve(approval) == OTHER
    assert await gateway.look_up("order-0001-1", "pi_123") == OTHER
    refund = Refund("pi_123", "refund-0001", "refund-0001", Money(1_000), "too late")
    assert isinstance(await gateway.refund(refund), Refunded)


async def test_the_control_with_a_wrong_parameter_is_refused(gateway):
    """An amount that is no number is noticed by the mock, and is no answer about a payment."""
    answer = await gateway._ask(gateway._client.v1.payment_intents.create_async({"amount": "many", "currency": "krw"}))
    assert isinstance(answer, Unknown)
    assert answer.reason.startswith("HTTP 400")
