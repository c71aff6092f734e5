"""Refuses a scenario that cannot be raced before anything is sent: one line that names the place.

Neighbours: `scenario.py` has the tree, `files/load.py` calls this for every scenario.
"""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import msgspec

from stockade.core.extras import advice
from stockade.race.errors import RaceError
from stockade.race.model import pointers
from stockade.race.model.expressions import Expression
from stockade.race.model.placeholders import FRESH, names_in
from stockade.race.model.scenario import Request, Scenario
from stockade.race.model.select import Select

COUNTED = ("sent", "successes", "refusals", "errors", "unanswered", "keys", "spread_ms")
OF_A_RACE = ("run", "python", "here")
OF_A_SERVER = ("folder", "port")
OF_A_ROUND = "round"
OF_A_BUYER = ("n", "key", FRESH)
GIVEN = (*OF_A_RACE, *OF_A_SERVER, OF_A_ROUND, *OF_A_BUYER)
DRIVERS = {"postgresql": "asyncpg", "postgres": "asyncpg", "mysql": "asyncmy", "mariadb": "asyncmy"}  # by scheme
_NAME = re.compile(r"[a-z_][a-z0-9_]*")


def check(scenario: Scenario) -> None:
    """Refuse a scenario that cannot be raced.

    Raises:
        RaceError: the first thing that is wrong.
    """
    for where, reason in _wrong(scenario):
        raise RaceError(f"{where}: {reason}")
    for where, pointer in _pointers(scenario):
        with _at(where):
            pointers.check(pointer)
    for name, read in scenario.reads.items():
        if read.sql:
            with _at(f"reads.{name}.sql"):
                Select.parse(read.sql)
    _check_placeholders(scenario)
    _check_names(scenario)


class _at:  # noqa: N801 - reads as a preposition
    """Puts the place in front of the reason."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, RaceError):
            raise RaceError(f"{self._where}: {error}") from None


def _wrong(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """What contradicts itself."""
    if not scenario.requests and not scenario.request_of:
        yield "requests", "must have at least one, with its path"
    if not scenario.invariants and not scenario.checks:
        yield "invariants", "must have at least one, e.g. 'no oversell' = 'successes <= 20'"
    if not scenario.target.url and not scenario.server:
        yield "target.url", "must be the service, e.g. http://127.0.0.1:8000; or give a [server] to start"
    if scenario.race.keys > scenario.race.buyers:
        yield "race.keys", f"must be at most race.buyers, {scenario.race.buyers}"
    for at, step in enumerate(scenario.setup):
        if bool(step.request) == bool(step.command):
            yield f"setup[{at}]", "must have either a request or a command"
        if step.save and step.command:
            yield f"setup[{at}].save", "is for a request; a command has save_output"
        if step.save_output and step.request:
            yield f"setup[{at}].save_output", "is for a command; a request has save"
    for name, read in scenario.reads.items():
        if bool(read.request) == bool(read.sql):
            yield f"reads.{name}", "must have either a request or sql"
        if read.sql and not scenario.database:
            yield f"reads.{name}.sql", "needs the URL of the database: database = 'sqlite:///shop.db'"
    selects = any(read.sql for read in scenario.reads.values())
    driver = DRIVERS.get(scenario.database.partition(":")[0].partition("+")[0], "")
    if selects and driver and find_spec(driver) is None:  # said before the race, not after it
        yield "database", advice(driver)


def _pointers(scenario: Scenario) -> Iterator[tuple[str, str]]:
    for at, step in enumerate(scenario.setup):
        yield from ((f"setup[{at}].save.{name}", pointer) for name, pointer in step.save.items())
    yield from ((f"success.where.{pointer}", pointer) for pointer in scenario.success.where)
    yield from ((f"refusal.where.{pointer}", pointer) for pointer in scenario.refusal.where)
    yield from ((f"answers.{name}", pointer) for name, pointer in scenario.answers.items())
    yield from ((f"reads.{name}.pointer", read.pointer) for name, read in scenario.reads.items())


def _check_placeholders(scenario: Scenario) -> None:
    known = {*OF_A_RACE, FRESH, *(OF_A_SERVER if scenario.server else ())}
    if scenario.server:
        _known("server", [scenario.server.command, scenario.server.env], known)
    _known("target", [scenario.target.url, scenario.target.ca_file], known)
    known.add(OF_A_ROUND)
    _known("database", scenario.database, known)
    for at, step in enumerate(scenario.setup):
        _known(f"setup[{at}]", [_texts(step.request), step.command], known)
        known |= {*step.save, *filter(None, [step.save_output])}
    if scenario.prepare:
        return  # its variables are known when it has run
    _known("target.headers", scenario.target.headers, known)
    for name, read in scenario.reads.items():
        _known(f"reads.{name}", [_texts(read.request), read.sql], known)
    for at, request in enumerate(scenario.cleanup):
        _known(f"cleanup[{at}]", _texts(request), known)
    for at, request in enumerate(scenario.requests):
        _known(f"requests[{at}]", _texts(request), known | {*OF_A_BUYER})


def _texts(request: Request | None) -> Any:
    return msgspec.structs.asdict(request) if request else ()


def _known(where: str, value: Any, known: set[str]) -> None:
    for name in sorted(names_in(value) - known):
        if name in OF_A_BUYER:
            raise RaceError(f"{where}: {{{name}}} is of each buyer and has a value in [[requests]] only: put it there")
        raise RaceError(f"{where}: nothing gives {{{name}}} a value; there are {', '.join(sorted(known))}")


def _check_names(scenario: Scenario) -> None:
    given = [*COUNTED, *scenario.answers, *scenario.reads]
    for name in (*scenario.answers, *scenario.reads):
        if not _NAME.fullmatch(name) or given.count(name) > 1:
            raise RaceError(f"{name}: a name has letters, digits and _, and is given once; taken: {', '.join(COUNTED)}")
    for name, text in scenario.invariants.items():
        with _at(f"invariants.{name}"):
            expression = Expression(text)
            for unknown in sorted(expression.names - {*given}):
                raise RaceError(f"nothing has the name {unknown}; there are {', '.join(given)}")
            for function, of in sorted(expression.called):
                if function == "differing_keys" and of not in scenario.answers:
                    raise RaceError(f"differing_keys({of}): must be a name of [answers]")
