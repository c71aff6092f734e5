"""Logs: one JSON object a line, with the run's id and the ids of what it is about."""

import json
import logging
import os
import sys
from pathlib import Path

import pytest

from stockade.identity import JwksKeys
from stockade.shop.config.settings import Settings
from stockade.shop.operations import logs
from stockade.shop.tokens.of_settings import _report as report
from tests.waiting import eventually


@pytest.fixture
def lines(capsys):
    """Function: everything that was logged so far, one object a line."""
    yield lambda: [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    logging.getLogger().handlers.clear()


def test_a_line_carries_the_ids_and_the_run(lines):
    """What is logged can be found by the run, the worker, the request and the order."""
    logs.configure(Settings(run_id="run-7"), 2)
    logs.logger().info("placed", request_id="r", order_id="o")
    (line,) = lines()
    assert (line["event"], line["run_id"], line["worker"], line["request_id"], line["order_id"]) == (
        "placed",
        "run-7",
        2,
        "r",
        "o",
    )
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")


def test_levels_below_the_setting_cost_nothing_and_say_nothing(lines):
    """Only lines of the level in the setting are written, libraries included."""
    logs.configure(Settings(log_level="warning"))
    logs.logger().info("no")
    logging.getLogger("uvicorn.error").info("no")
    logs.logger().warning("yes")
    assert [line["event"] for line in lines()] == ["yes"]


def test_libraries_and_tracebacks_are_json_too(lines):
    """A warning of a library, and an exception with its traceback, are one line each."""
    logs.configure(Settings())
    logging.getLogger("sqlalchemy.pool").warning("pool %s", "is full")
    try:
        raise ValueError("why")
    except ValueError:
        logs.logger().exception("failed", order_id="o")
    first, second = lines()
    assert (first["event"], first["logger"]) == ("pool is full", "sqlalchemy.pool")
    assert second["exception"].rstrip().endswith("ValueError: why")


def test_without_a_run_id_one_is_made(lines):
    """Each start has an id of its own, the same in all its lines."""
    logs.configure(Settings())
    logs.logger().info("a")
    logs.logger().info("b")
    assert len({line["run_id"] for line in lines()}) == 1


def test_a_line_of_another_thread_carries_the_run(lines):
    """The thread that loads the keys of tokens reports under the id of the run and the number of the process."""
    logs.configure(Settings(run_id="run-7"), 2)
    keys = JwksKeys("/no/such/file", report=report)
    keys.begin()
    eventually(lambda: keys.loads == 1 and not keys._running)
    told = []
    eventually(lambda: told.extend(lines()) or told)
    assert [(line["event"], line["run_id"], line["worker"]) for line in told] == [
        ("the keys of tokens cannot be loaded", "run-7", 2)
    ]


def test_lost_lines_are_counted_under_the_run(monkeypatch, tmp_path):
    """Lines that had no room are counted in one line, which has the id of the run too."""
    logs.configure(Settings(run_id="run-7"))
    with (tmp_path / "log").open("w+") as room, Path(os.devnull).open() as none:
        for stream in (none, room):
            monkeypatch.setattr(sys, "stderr", stream)
            logs.logger().warning("a")
        room.seek(0)
        lost, line = map(json.loads, room)
    assert (lost["event"], lost["lost"], lost["run_id"], line["event"]) == ("log lines lost", 1, "run-7", "a")
