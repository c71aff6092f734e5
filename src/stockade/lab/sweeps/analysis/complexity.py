"""How complex a strategy is, counted: lines, services, settings, failure modes, dependencies. Nothing is written down.

Lines are those that have code: no blank ones, comments or docstrings. Imports are followed through the whole package,
each name to the file that defines it: a package that offers many names is no need for all of them.
Neighbours: `strategies/registry` has the strategies, `faults/` what can go wrong, the package's metadata its extras.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Set
from dataclasses import dataclass, fields
from functools import lru_cache
from importlib.metadata import requires
from pathlib import Path
from typing import Final

import stockade
from stockade.core import JsonValue
from stockade.kafka.options import KafkaOptions
from stockade.lab.faults import FAULTS
from stockade.lab.model.contender import Contender
from stockade.lab.site.needs import missing_tools
from stockade.strategies import registry
from stockade.strategies.options import Options

PACKAGE: Final = "stockade"
ROOT: Final = Path(stockade.__file__).parent
OWN: Final = f"{PACKAGE}.strategies."
PLAINEST: Final = "unprotected"  # what every strategy needs, this one needs too
STORE: Final = f"{PACKAGE}.store"  # every service has it, whatever its strategy
WORKER: Final = f"{PACKAGE}.kafka.worker"  # decides for a strategy over a log, in processes of its own
_NO_CODE: Final = frozenset(
    {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
)


@dataclass(frozen=True, slots=True)
class Complexity:
    """Of one strategy.

    Attributes:
        strategy: its name.
        own_lines: of its file and those of its base classes in `stockade.strategies`.
        imported_lines: of all other files of the package that they import.
        further_lines: of all these, its own ones too, how many a service with `unprotected` does not need; of a
            strategy over a log those of its worker too.
        services: what must run beside the service and the database, with numbers.
        settings: parameters that it reads.
        failure_modes: faults of the lab that can hit it on this database.
        further_failure_modes: of them, those that cannot hit `unprotected`.
        dependencies: distributions that must be installed for its services, besides those of every strategy.
    """

    strategy: str
    own_lines: int
    imported_lines: int
    further_lines: int
    services: dict[str, int]
    settings: tuple[str, ...]
    failure_modes: tuple[str, ...]
    further_failure_modes: tuple[str, ...]
    dependencies: tuple[str, ...]

    def as_json(self) -> dict[str, JsonValue]:
        """One of the member `complexity` of the document."""
        return {
            "strategy": self.strategy,
            "own_lines": self.own_lines,
            "imported_lines": self.imported_lines,
            "further_lines": self.further_lines,
            "services": dict(self.services),
            "settings": list(self.settings),
            "failure_modes": list(self.failure_modes),
            "further_failure_modes": list(self.further_failure_modes),
            "dependencies": list(self.dependencies),
        }


def complexity_of(contender: Contender, database: str) -> Complexity:
    """Count.

    Args:
        contender: the strategy.
        database: `sqlite`, `postgres`, `mariadb` or `mysql`.
    """
    own, plainest = _own_modules(contender.strategy), _own_modules(PLAINEST)
    needed, usual = _closure(own), _closure(plainest | {STORE})
    everywhere = needed | _closure({WORKER}) if contender.needs_kafka else needed
    modes, usual_modes = _failure_modes(contender.name, database), _failure_modes(PLAINEST, database)
    return Complexity(
        strategy=contender.name,
        own_lines=sum(map(_lines, own)),
        imported_lines=sum(map(_lines, needed - own)),
        further_lines=sum(map(_lines, everywhere - usual)),
        services=_services(contender),
        settings=_settings(own),
        failure_modes=modes,
        further_failure_modes=tuple(mode for mode in modes if mode not in usual_modes),
        dependencies=_dependencies(contender),
    )


def _own_modules(strategy: str) -> frozenset[str]:
    """The files of a strategy: that of its class, and of the classes that it extends."""
    return frozenset(kind.__module__ for kind in registry.find(strategy).__mro__ if kind.__module__.startswith(OWN))


def _services(contender: Contender) -> dict[str, int]:
    found = dict.fromkeys(contender.guarantees.needs, 1)
    if contender.redis_servers:
        found["redis"] = contender.redis_servers
    if contender.needs_kafka:
        found["stockade worker"] = 1
    return found


def _settings(own: frozenset[str]) -> tuple[str, ...]:
    """Members of `Options` that the files read, e.g. as `self.options.wait_s`, and those of the log."""
    known = {each.name for each in fields(Options)}
    read = {
        node.attr
        for module in own
        for node in ast.walk(_tree(module))
        if isinstance(node, ast.Attribute) and node.attr in known and _is_options(node.value)
    }
    log = [f"kafka.{each.name}" for each in fields(KafkaOptions)] if "kafka" in read else []
    return (*sorted(read - {"kafka"}), *log)


def _is_options(node: ast.expr) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr == "options") or (
        isinstance(node, ast.Name) and node.id == "options"
    )


def _failure_modes(contender: str, database: str) -> tuple[str, ...]:
    """Faults that can happen; that a tool is missing on this machine is no reason against one."""
    reasons = {name: fault.impossible(contender, database) for name, fault in FAULTS.items()}
    return tuple(name for name, why in reasons.items() if not why or why == missing_tools(FAULTS[name].needs))


def _closure(own: Set[str]) -> frozenset[str]:
    """These modules and every module of the package that they import, directly or not.

    Of the strategy's own files the imports inside functions count too: there it chooses its lock server. Of others they
    do not: they are the choices of other strategies.
    """
    found, waiting = set[str](), list(own)
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        found.add(module)
        waiting += [each for each in _imports(module, everywhere=module in own) if each.startswith(f"{PACKAGE}.")]
    return frozenset(found)


def _dependencies(contender: Contender) -> tuple[str, ...]:
    """What the package's metadata names in the extras of the services that a strategy needs."""
    extras = "|".join(map(re.escape, contender.guarantees.needs))
    found = [re.match(rf"([\w.-]+).*extra == ['\"]({extras})['\"]", each) for each in requires(PACKAGE) or ()]
    return tuple(dict.fromkeys(each[1] for each in found if each)) if extras else ()


@lru_cache(maxsize=4_000)
def _imports(module: str, *, everywhere: bool) -> frozenset[str]:
    """What a module imports: modules of the package that define the names, and names of other packages.

    Args:
        module: its name.
        everywhere: inside functions too.
    """
    found = set[str]()
    for node in ast.walk(_tree(module)) if everywhere else _tree(module).body:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.update(_defined_in(node.module, alias.name) for alias in node.names)
    return frozenset(name for name in found if not name.startswith(PACKAGE) or _file(name) is not None)


@lru_cache(maxsize=4_000)
def _defined_in(module: str, name: str) -> str:
    """The module that defines a name which another one may only pass on; of other packages the one that is named."""
    if not module.startswith(PACKAGE) or _file(module) is None:
        return module
    if _file(inner := f"{module}.{name}") is not None:
        return inner
    for node in _tree(module).body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _defined_in(node.module, alias.name)
    return module


@lru_cache(maxsize=4_000)
def _file(module: str) -> Path | None:
    """The source of a module of the package; None: there is no such module."""
    path = ROOT.joinpath(*module.split(".")[1:])
    return next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()), None)


@lru_cache(maxsize=1_000)
def _tree(module: str) -> ast.Module:
    return ast.parse(_source(module))


def _source(module: str) -> str:
    file = _file(module)
    assert file is not None, module
    return file.read_text(encoding="utf-8")


@lru_cache(maxsize=2_000)
def _lines(module: str) -> int:
    return code_lines(_source(module))


def code_lines(source: str) -> int:
    """Lines that have code: no blank ones, no comments, no docstrings.

    Args:
        source: of a module.
    """
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {line for token in tokens if token.type not in _NO_CODE for line in range(token.start[0], token.end[0] + 1)}
    return len(lines - set(_docstrings(ast.parse(source))))


def _docstrings(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if ast.get_docstring(node, clean=False) is not None:
            first = node.body[0]
            yield from range(first.lineno, (first.end_lineno or first.lineno) + 1)
