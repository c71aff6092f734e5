"""A message about a setting says how it was written and where: an option, a variable, or a line of the file."""

import os
import socket

import pytest

from stockade.cli.common import read_settings
from stockade.shop.config.settings import BadSetting
from stockade.shop.config.strategy_choice import check, check_servers
from stockade.shop.database_checks import make_folder
from stockade.shop.http.server import port_holder, sockets
from stockade.shop.http.server.sockets import bind

BAD = {  # setting -> value that cannot be used, and what is said of it
    "port": ("99999", "must be a whole number"),
    "strategy": ("nix", "must be one of unprotected, in-process"),
    "database": ("oracle://h/x", "unknown database 'oracle'; supported: sqlite, postgresql, mariadb, mysql"),
    "redis": ("http://h", "not a Redis URL"),
    "kafka_bootstrap": ("kafka://h", "must be host:port"),
    "kafka_ssl_ca": ("/none.pem", "only with kafka_security ssl"),
    "events": ("kafka", "kafka_bootstrap must name the brokers"),
    "host": ("none.invalid", "cannot listen there"),
    "state_dir": ("/proc/none", "cannot make"),
}
OPTIONS = ("port", "strategy", "database", "host")


def started(pairs, own):
    """What every start reads and checks, up to the port."""
    settings = read_settings(None, list(pairs), **own)
    check(settings)
    check_servers(settings)
    make_folder(settings)
    bind(settings).close()


@pytest.fixture
def refused(tmp_path, monkeypatch):
    """Function: options, variables and a file to the message of a command that starts with them."""
    monkeypatch.chdir(tmp_path)

    def message(pairs=(), own=None, variables=None, toml=""):
        (tmp_path / "stockade.toml").write_text(toml)
        with monkeypatch.context() as patch:
            for name, value in (variables or {}).items():
                patch.setenv(name, value)
            with pytest.raises(BadSetting) as bad:
                started(pairs, own or {})
        return str(bad.value)

    return message


@pytest.mark.parametrize("name", BAD)
def test_each_source(name, refused):
    """For each of these settings: `--set`, its own option, a variable, the file."""
    value, said = BAD[name]
    in_toml = value if value.isdigit() else repr(value)
    messages = {
        f"--set {name}": refused([f"{name}={value}"]),
        f"STOCKADE_{name.upper()}": refused(variables={f"STOCKADE_{name.upper()}": value}),
        f"{name} in stockade.toml": refused(toml=f"{name} = {in_toml}"),
    }
    if name in OPTIONS:
        messages[f"--{name}"] = refused(own={name: value})
    for source, message in messages.items():
        assert f"(from {source})" in message or f"(from {source}; " in message, message
        assert said in message
        assert len(message.splitlines()) == 1


def test_a_default_has_no_source(refused):
    """The control: what nobody wrote is named without a source."""
    assert refused(own={"events": "kafka"}).endswith("by --set kafka_bootstrap=HOST:PORT or STOCKADE_KAFKA_BOOTSTRAP")


def test_a_port_that_is_taken(refused):
    """The message says who listens there, by name and pid, and which option chooses another port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refused(own={"port": port})
        assert f"port = {port} (from --port): cannot listen there: " in message
        assert f"(pid {os.getpid()}); stop it, or choose another port with --port" in message


def test_a_port_that_is_taken_by_nobody_knows_whom(refused, monkeypatch):
    """Where the process is not known the setting is named all the same."""
    monkeypatch.setattr(sockets, "port_holder", lambda port: "")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        message = refused(own={"port": taken.getsockname()[1]})
    assert "in use by another process" in message
    assert "--port" in message


def test_a_port_without_a_listener_has_no_holder():
    """The control: nobody is named for a port that is free."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert port_holder.port_holder(port) == ""


@pytest.mark.parametrize(("host", "said"), [("192.0.2.7", "no such address"), ("none.invalid", "has no address")])
def test_an_address_that_is_not_here(refused, host, said):
    """An address of another machine, a name that nobody knows: what to write instead."""
    message = refused(own={"host": host, "port": 0})
    assert said in message
    assert "--host" in message
