"""Logs: one JSON object a line, with the run's id and the ids of what it is about."""

import json
import logging

import pytest

from stockade.shop.config.settings import Settings
from stockade.shop.operations import logs


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
