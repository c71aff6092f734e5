"""Values from the environment: `${NAME}`, or `${NAME:-default}`, in any text of a scenario.

What comes from the environment may be a secret: reports show the name instead of the value. A default stands in the
file and is none, and a variable that the name of the scenario has is there to be read. Neighbour: `load.py` puts them
in.
"""

import re
from collections.abc import Mapping
from typing import Any

from stockade.race.errors import RaceError

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


class Environment:
    """Puts variables into texts, and remembers what they were.

    Args:
        variables: usually `os.environ`.

    Attributes:
        secrets: value -> how the scenario names it, of those that are not the default.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self._shown = set[str]()
        self.secrets: dict[str, str] = {}

    def show(self, text: Any) -> None:
        """The variables of a text are no secrets, wherever else they stand.

        Args:
            text: the name of a scenario; what is no text has none.
        """
        if isinstance(text, str):
            self._shown |= {found[1] for found in _VARIABLE.finditer(text)}

    def fill(self, value: Any, where: str = "") -> Any:
        """The value with all variables in its texts.

        Args:
            value: a text, or a list or table of values.
            where: of the value, for the error.

        Raises:
            RaceError: a variable is not set and has no default.
        """
        if isinstance(value, str):
            return _VARIABLE.sub(lambda found: self._one(found, where), value)
        if isinstance(value, Mapping):
            return {name: self.fill(each, f"{where}.{name}" if where else name) for name, each in value.items()}
        if isinstance(value, list):
            return [self.fill(each, f"{where}[{at}]") for at, each in enumerate(value)]
        return value

    def _one(self, found: re.Match[str], where: str) -> str:
        name, default = found[1], found[2]
        value = self._variables.get(name)
        if value is None:
            if default is None:
                raise RaceError(f"{where}: the environment has no {name}: set it, or write ${{{name}:-default}}")
            return default
        if value and value != default and name not in self._shown:
            self.secrets[value] = f"${{{name}}}"
        return value
