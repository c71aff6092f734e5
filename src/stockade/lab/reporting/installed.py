"""What a ring is played on, beside the machine: versions of packages and servers, and how a small disk is made.

Results of another machine say nothing about this one. Neighbours: `environment.py` describes the machine,
`lab/ring/state_file.py` refuses to mix results of two.
"""

import re
import subprocess
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Final

from stockade.core import JsonValue
from stockade.devservers import ServerUnavailable, kafka, mariadb, postgres, redis
from stockade.devservers.kafka.download import find_java, jars_folder
from stockade.devservers.launch import Program
from stockade.lab.reporting.environment import describe_machine
from stockade.lab.site.tools import no_small_disk

FINDERS: Final[Mapping[str, Callable[[], Program]]] = {
    "postgres": postgres.find,
    "mariadb": mariadb.find,
    "redis": redis.find,
}
VERSION_WAIT_S: Final = 10.0
NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
MOST_SAID: Final = 80  # characters of what a server says about its version


def environment() -> dict[str, JsonValue]:
    """The machine, its packages and servers, with the date."""
    disk = "limit of the size of files" if no_small_disk() else "file system"
    return {**describe_machine(), "packages": dict(packages()), "servers": dict(servers()), "small_disk": disk}


def lasting() -> dict[str, JsonValue]:
    """The same without the date: what a ring that goes on must have in common with its beginning."""
    return {name: value for name, value in environment().items() if name != "date"}


@cache
def packages() -> Mapping[str, str]:
    """The versions of what stockade or one of its extras needs, as far as it is installed."""
    try:
        names = {found[0].lower() for each in requires("stockade") or () if (found := NAME.match(each))}
    except PackageNotFoundError:
        return {}
    return {name: there for name in sorted(names) if (there := _version(name))}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


@cache
def servers() -> Mapping[str, str]:
    """What each kind of server that can be started here says about its version."""
    found = {}
    for kind, find in FINDERS.items():
        try:
            found[kind] = _said_by(find())
        except ServerUnavailable:
            continue
    try:
        kafka.find()
        found["kafka"] = f"{jars_folder().name}, {_said_by(find_java())}"
    except ServerUnavailable:
        pass
    return found


def _said_by(program: Program) -> str:
    try:
        done = subprocess.run(
            [program.name or str(program.path), "--version"],
            executable=program.path,
            env=program.environment,
            capture_output=True,
            text=True,
            timeout=VERSION_WAIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):  # no reason to lose what was measured
        return "does not say its version"
    return (done.stdout or done.stderr).partition("\n")[0][:MOST_SAID].strip()
