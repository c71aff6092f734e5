"""Finds and reads a scenario: a TOML file, a Python file, or the name of one that the package has.

Neighbours: `toml_file.py` reads TOML; `model/checks.py` refuses what cannot be raced; the folder `scenarios/` has those
of the package.
"""

import importlib.util
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from stockade.race.errors import RaceError
from stockade.race.files.environment import Environment
from stockade.race.files.toml_file import convert, read_toml
from stockade.race.hiding import SHORT, hide, hide_in_error
from stockade.race.model.checks import GIVEN, check
from stockade.race.model.placeholders import names_in
from stockade.race.model.scenario import Scenario

SHIPPED = Path(__file__).parents[1] / "scenarios"
PYTHON_NAME = "SCENARIO"
NO_FILE = "race"  # the name of a file, of a scenario that has none


@dataclass(frozen=True, slots=True)
class Loaded:
    """A scenario that can be raced.

    Attributes:
        scenario: checked.
        here: the folder of its file: `{here}` in its commands.
        secrets: value -> name of the variable that it came from; reports show the name. What the set-up saves for a
            header joins them.
        environment: what a test gave: the server and the commands have it beside that of this process.
    """

    scenario: Scenario
    here: Path
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    def hide_saved(self, saved: Mapping[str, Any]) -> None:
        """Add what the set-up has saved and a header has, as a token, to the secrets.

        Args:
            saved: variable -> value.
        """
        scenario = self.scenario
        around = [*(step.request for step in scenario.setup), *(read.request for read in scenario.reads.values())]
        requests = [*scenario.requests, *scenario.cleanup, *filter(None, around)]
        headers = [scenario.target.headers, *(each.headers for each in requests)]
        self._hide({name: saved[name] for name in names_in(headers) & {*saved}})

    def hide_in_headers(self, headers: Mapping[str, str], variables: Mapping[str, Any]) -> None:
        """Add those variables to the secrets that a function of the scenario has put into headers.

        Args:
            headers: of the request that it made.
            variables: of the round.
        """
        saved = {name: value for name, value in variables.items() if name not in GIVEN}
        self._hide(
            {name: value for name, value in saved.items() if any(str(value) in each for each in headers.values())}
        )

    def _hide(self, found: Mapping[str, Any]) -> None:
        for name, value in found.items():
            if len(str(value)) >= SHORT:  # less is the number of a user, not a token
                self.secrets[str(value)] = f"{{{name}}}"


def shipped() -> list[str]:
    """The names of the scenarios of the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def load(source: str | Path | Scenario, environment: Mapping[str, str] | None = None) -> Loaded:
    """A scenario, read and checked.

    Args:
        source: the path of a `.toml` or `.py` file, a name of `shipped`, or a scenario made in Python.
        environment: for `${NAME}`, and for the server and the commands; None: that of this process.

    Raises:
        RaceError: there is none, or it cannot be raced; one line that names the file and the place.
    """
    variables = Environment(os.environ if environment is None else environment)
    if isinstance(source, Scenario):
        return Loaded(_checked(_tree(source), variables, NO_FILE), Path.cwd(), variables.secrets, environment or {})
    path = _path(source)
    try:
        tree = _tree(_from_python(path)) if path.suffix == ".py" else read_toml(_text(path))
        scenario = _checked(tree, variables, path.stem)
        return Loaded(scenario, path.resolve().parent, variables.secrets, environment or {})
    except RaceError as error:
        raise RaceError(f"{path}: {error}") from None


def name_of(source: str) -> str:
    """The name of a scenario in reports that have no verdict, also of one that cannot be raced.

    Args:
        source: the path of a file, or a name of `shipped`. A Python file has the name of the file, as it is not run.
    """
    with suppress(RaceError):  # whoever loads it says what is wrong
        path = _path(source)
        tree = read_toml(_text(path)) if path.suffix == ".toml" else {}
        found = tree.get("name")
        if isinstance(found, str) and found:
            return str(Environment(os.environ).fill(found))
    return Path(source).stem


def override(
    loaded: Loaded,
    *,
    target: str = "",
    buyers: int | None = None,
    rounds: int | None = None,
    rate_per_s: float | None = None,
) -> Loaded:
    """The scenario with other figures, or against another service.

    Args:
        loaded: the scenario.
        target: the URL of a service that runs already, instead of the scenario's; its own server is not started.
        buyers: requests of a round.
        rounds: most rounds.
        rate_per_s: requests for each second; 0: all at the same moment.

    Raises:
        RaceError: it cannot be raced so.
    """
    given = {"buyers": buyers, "rounds": rounds, "rate_per_s": rate_per_s}
    scenario = loaded.scenario
    race = msgspec.structs.replace(scenario.race, **{name: value for name, value in given.items() if value is not None})
    scenario = msgspec.structs.replace(scenario, race=race)
    if target:
        own = msgspec.structs.replace(scenario.target, url=target)
        scenario = msgspec.structs.replace(scenario, target=own, server=None)
    try:
        check(scenario)
    except RaceError as error:
        raise RaceError(hide_in_error(str(error), loaded.secrets)) from None
    return replace(loaded, scenario=scenario)


def _path(source: str | Path) -> Path:
    """The file of a source.

    Raises:
        RaceError: there is none.
    """
    path = Path(source)
    if str(source) in shipped():
        return SHIPPED / f"{source}.toml"
    if path.suffix not in (".toml", ".py"):
        raise RaceError(f"{source}: must be a .toml or .py file, or one of {', '.join(shipped())}")
    if not path.is_file():
        raise RaceError(f"{path}: there is no such file")
    return path


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RaceError(f"cannot be read: {error}") from None


def _from_python(path: Path) -> Scenario:
    """The `SCENARIO` of a Python file, which is run.

    Raises:
        RaceError: it does not run, or has none.
    """
    spec = importlib.util.spec_from_file_location(f"stockade_race_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise RaceError(f"does not run: {type(error).__name__}: {error}") from error
    scenario = getattr(module, PYTHON_NAME, None)
    if not isinstance(scenario, Scenario):
        raise RaceError(f"must have {PYTHON_NAME} = stockade.race.Scenario(…)")
    return scenario


def _checked(tree: Any, variables: Environment, file: str) -> Scenario:
    """The scenario of a tree; one that was made in Python passes the checks of a file too.

    Args:
        tree: of the scenario.
        variables: for its texts.
        file: its name if that of the scenario has a secret in it, which reports would hide.
    """
    variables.show(tree.get("name"))
    try:
        scenario = convert(variables.fill(tree))
        check(scenario)
    except RaceError as error:
        raise RaceError(hide_in_error(str(error), variables.secrets)) from None
    hidden = hide(scenario.name, variables.secrets) != scenario.name
    return msgspec.structs.replace(scenario, name=file) if hidden else scenario


def _tree(value: Any) -> Any:
    """The tables of structs; functions stay."""
    if isinstance(value, msgspec.Struct):
        return {name: _tree(each) for name, each in msgspec.structs.asdict(value).items()}
    if isinstance(value, dict):
        return {name: _tree(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_tree(each) for each in value]
    return value
