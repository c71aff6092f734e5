"""What is wrong with a command before it is loaded, or with its decision.

Neighbours: `transact` checks commands, `decide` checks decisions; `known_tables` knows what fits into a table,
`json_checks` what is JSON.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stockade.core import Accepted, Change, Command, Key, Rejected
from stockade.store.schema.resource import Resource
from stockade.store.schema.tables import ledger, outbox, requests


def _length(column: Any) -> int:
    return int(column.type.length)


ID_LENGTH = _length(requests.c.id)
MAX_FINGERPRINT = _length(requests.c.fingerprint)
MAX_ROW_ID = _length(ledger.c.row_id)
MAX_EVENT_KIND, MAX_EVENT_KEY = _length(outbox.c.kind), _length(outbox.c.key)


MAX_TYPES = 1_000  # in the cache; an application has far fewer
_MEMBERS = ("name", "strategy_group", "request_id", "fingerprint", "now_ms", "keys", "decide")
_right_types: set[type[object]] = set()


class UnknownKind(ValueError):
    """A command names a kind of key that this store has no resource for."""


def problems(commands: Sequence[Command], resources: Mapping[str, Resource]) -> dict[int, Exception]:
    """The commands that can be neither looked up nor loaded: their indexes, and why.

    Args:
        commands: of one call.
        resources: by kind.
    """
    return {
        n: error
        for n, each in enumerate(commands)
        if (error := command_problem(each) or keys_problem(each.name, each.keys, resources))
    }


def command_problem(command: Command) -> Exception | None:
    """What is wrong with a command beside its keys; None for nothing. The type is checked once, the values each time.

    Args:
        command: that a caller has handed over.
    """
    if type(command) not in _right_types:
        problem = _type_problem(command)
        if problem is not None:
            return problem
        if len(_right_types) >= MAX_TYPES:
            _right_types.clear()
        _right_types.add(type(command))
    id_: object = command.request_id
    fingerprint: object = command.fingerprint
    if not (isinstance(id_, str) and len(id_) == ID_LENGTH):
        return ValueError(f"{command.name}: request_id must be {ID_LENGTH} hex digits, not {id_!r:.100}")
    if type(fingerprint) is not str or not 0 < len(fingerprint) <= MAX_FINGERPRINT:
        text = f"fingerprint must have 1 to {MAX_FINGERPRINT} characters: hash the content, as `fingerprint_of` does"
        return ValueError(f"{command.name}: {text}")
    now_ms: object = command.now_ms
    if type(now_ms) is not int:
        return TypeError(f"{command.name}: now_ms must be an int, not {now_ms!r:.100}")
    return None


def _type_problem(command: Any) -> Exception | None:
    """What is wrong with the type of a command, as its first instance shows."""
    kind = type(command).__name__
    if missing := [each for each in _MEMBERS if not hasattr(command, each)]:
        return TypeError(f"{kind} is no command: it has no {', '.join(missing)}")
    name: object = command.name
    if not (isinstance(name, str) and name):
        return TypeError(f"{kind}: name must be a text, not {name!r:.100}")
    settings = getattr(command, "__dataclass_params__", None)
    if settings is not None and not settings.frozen:
        return TypeError(f"{kind} can be changed while the store works on it: use @dataclass(frozen=True)")
    for each in ("keys", "fingerprint", "request_id"):
        first, again = getattr(command, each), getattr(command, each)
        if first != again:
            text = f"{each} differs between two reads, {first!r:.60} and {again!r:.60}: derive it from the fields only"
            return ValueError(f"{kind}: {text}")
    if not isinstance(command.keys, tuple):
        return TypeError(f"{kind}: keys must be a tuple of Key, not {command.keys!r:.100}")
    return None


def keys_problem(name: str, keys: Iterable[Any], resources: Mapping[str, Resource]) -> Exception | None:
    """Why rows with these keys cannot be loaded; None when they can.

    Args:
        name: of the command, for the error.
        keys: that it names.
        resources: by kind.
    """
    for key in keys:
        if not (type(key) is Key and type(key.id) is str):
            return TypeError(f"{name} names {key!r:.100}, which must be a Key of two texts")
        if key.kind not in resources:
            known = ", ".join(sorted(resources))
            return UnknownKind(f"no resource for keys of kind {key.kind!r:.100}; this store has: {known}")
        if not 0 < len(key.id) <= MAX_ROW_ID:
            return ValueError(f"{name} names {key!s:.100}: an id has 1 to {MAX_ROW_ID} characters")
        if "\0" in key.id:  # PostgreSQL has no text with it
            return ValueError(f"{name} names {key!r:.100}: an id has no NUL character")
    return None


def decide_problem(name: str, error: Exception) -> Exception:
    """The error of a command whose `decide` raised: what it raised, or that it read a row which was not loaded."""
    if isinstance(error, KeyError) and error.args and type(error.args[0]) is Key:
        text = f"{name} reads {error.args[0]}, which was not loaded: name it in `keys`, or ask by Decision(need_keys=…)"
        problem = ValueError(text)
        problem.__cause__ = error
        return problem
    error.add_note(f"raised by `decide` of {name}, which must return a Decision in every case; nothing was written")
    return error


def outcome_problem(outcome: object) -> str:
    """What is wrong with an outcome beside its data; empty for nothing."""
    if isinstance(outcome, Rejected):
        code: object = outcome.code
        if not (isinstance(code, str) and code):
            return f"rejected with the code {code!r:.100}, which must be a text"
    elif not isinstance(outcome, Accepted):
        return f"decided {outcome!r:.100}, which must be Accepted or Rejected"
    right = isinstance(outcome.data, dict) or isinstance(outcome.data, Mapping)  # noqa: SIM101 - the first is quick
    return "" if right else f"decided {outcome.data!r:.100}, which must be a mapping"


def change_problem(resource: Resource, change: object) -> str:
    """What is wrong with a change of the wrong type."""
    if not isinstance(change, Change):
        return f"by {change!r:.100}, which must be a Change"
    if resource.many:
        return "but rows of this kind are only inserted and read"
    return f"to {change.state!r:.100}, which must be a {resource.state.__name__}"
