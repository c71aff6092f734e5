"""One test gateway for all tests of a file, with its usual behaviour at the start of each."""

import pytest

from stockade.devservers import Servers
from stockade.devservers.gateway import GatewayClient
from tests.payments.checkout import open_checkout

USUAL = {
    "keyed": True,
    "key_valid_s": 86_400.0,
    "look_up": True,
    "once_per_payment_key": True,
    "outage": False,
    "faults": {},
    "latency_s": 0.0,
    "slow_s": 30.0,
    "stores_errors": False,
}


@pytest.fixture(scope="module")
def gateway_url():
    """The URL of the test gateway."""
    with Servers() as servers:
        yield servers.gateway().url


@pytest.fixture
def judge(gateway_url):
    """Its control."""
    client = GatewayClient(gateway_url)
    client.behave(**USUAL)
    return client


@pytest.fixture
async def checkout(judge, gateway_url):
    """A shop in memory that is paid through Toss."""
    async with open_checkout("sqlite://", judge, gateway_url) as opened:
        yield opened


@pytest.fixture(params=["toss", "stripe"])
async def any_checkout(request, judge, gateway_url):
    """The same for each gateway."""
    async with open_checkout("sqlite://", judge, gateway_url, dialect=request.param) as opened:
        yield opened
