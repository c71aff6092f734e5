"""kill -9 of the service's processes with payments in flight: the gateway's count equals the audit's."""

from stockade.devservers.gateway import GatewayClient
from tests.process.payment_load import SETTINGS, compare, load


async def test_killed_processes_charge_nobody_twice(postgres_database, servers, tmp_path, monkeypatch):
    """60 payments, 3 kills, a gateway that loses requests and replies: one approval for each paid order."""
    gateway = servers.gateway()
    judge = GatewayClient(gateway.url)
    for name, value in {**SETTINGS, "STOCKADE_GATEWAY_URL": gateway.url}.items():
        monkeypatch.setenv(name, value)
    state = tmp_path / "state"
    state.mkdir()
    answers = await load(postgres_database, state, judge, payments=60, kills=3)
    assert sum(answers.values()) == 60
    states, differences = await compare(postgres_database, judge, gateway.url)
    assert not differences
    assert set(states) <= {"PAID", "RESERVED"}
    assert states["PAID"] == sum(map(len, judge.count().approved.values()))
    assert states["PAID"] > 30
