"""Commands as bytes, for the log: MessagePack, by name and version.

A message is [format, name, [field, …], reply-to, correlation id]. The last two, the service instance of the caller and
its number for the caller, may be missing. The name of version 2 and above ends with `@VERSION`, so that a program that
does not know the version refuses the message instead of misreading it.

New fields go to the end of a command and have a default; then old messages are still read. Any other change is a new
version: a class of its own, registered beside the old one for as long as the topic may hold messages of the old one.
Neighbours: `options` hands the codec to the strategy and to the workers.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from operator import attrgetter
from typing import Any, TypeVar, get_type_hints

import msgspec

from stockade.core import Command
from stockade.kafka.message import BadMessage, CommandMessage

FORMAT = 1
MAX_NAME = 64  # characters of a command's name: it is a label of the metrics too
C = TypeVar("C")


class _Message(msgspec.Struct, array_like=True):
    format: int
    name: str
    content: msgspec.Raw
    reply_to: bytes = b""
    correlation_id: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Message).decode


class UnknownCommand(ValueError):
    """A command whose type is not registered with the codec; the message says how to register it."""


class _Form:
    """How one command is written and read."""

    def __init__(self, kind: type[Any], message_name: str) -> None:
        self.kind, self.message_name = kind, message_name
        hints = get_type_hints(kind)
        names = [item for item in fields(kind) if item.init]
        described = [(item.name, hints[item.name], *_default(item)) for item in names]
        struct = msgspec.defstruct(f"{kind.__name__}Message", described, array_like=True)
        self.values = _values([item.name for item in names])
        self._decode = msgspec.msgpack.Decoder(struct).decode

    def read(self, content: msgspec.Raw) -> Command:
        command: Command = self.kind(*self.values(self._decode(content)))
        return command


class CommandCodec:
    """Writes and reads the commands of an application. Register each command before the first message.

    Args:
        kinds: commands to register in version 1, each under its own `name`.
    """

    def __init__(self, *kinds: type[Any]) -> None:
        self._by_type: dict[type[Any], _Form] = {}
        self._by_name: dict[str, _Form] = {}
        for kind in kinds:
            self.register(kind)

    def register(self, kind: type[C], *, version: int = 1, name: str = "") -> type[C]:
        """Let the codec write and read a command; returns the class.

        Args:
            kind: a frozen dataclass. Its fields are of types that msgspec reads: numbers, texts, bytes, tuples,
                NamedTuples, dataclasses.
            version: of its fields. Each version is a class of its own.
            name: of the command in messages; by default the class's own `name`.

        Raises:
            TypeError: it is no frozen dataclass, or has a field that cannot be read.
            ValueError: no usable name or version, or another class has them already.
        """
        if not (is_dataclass(kind) and kind.__dataclass_params__.frozen):  # type: ignore[attr-defined]
            raise TypeError(f"{kind.__name__} must be a frozen dataclass: decorate it with @dataclass(frozen=True)")
        message_name = _message_name(kind, name or _own_name(kind), version)
        known = self._by_name.get(message_name)
        if known is not None:
            raise ValueError(
                f"two commands are registered as {message_name}: {known.kind.__qualname__} and {kind.__qualname__}; "
                "give one another name, or another version"
            )
        if kind in self._by_type:
            raise ValueError(f"{kind.__name__} is registered already, as {self._by_type[kind].message_name}")
        try:
            form = _Form(kind, message_name)
        except (TypeError, NameError) as error:
            raise TypeError(f"{kind.__name__} has a field that cannot be read from a message: {error}") from error
        self._by_type[kind] = self._by_name[message_name] = form
        return kind

    def __getstate__(self) -> list[tuple[type[Any], str]]:  # a process of its own makes the forms anew
        return [(form.kind, name) for name, form in self._by_name.items()]

    def __setstate__(self, registered: list[tuple[type[Any], str]]) -> None:
        self._by_name = {name: _Form(kind, name) for kind, name in registered}
        self._by_type = {form.kind: form for form in self._by_name.values()}

    @property
    def commands(self) -> Mapping[str, type[Any]]:
        """The registered classes by their names in messages."""
        return {name: form.kind for name, form in self._by_name.items()}

    def encode(self, command: Command, reply_to: bytes = b"", correlation_id: int = 0) -> bytes:
        """The bytes of a command; see `stockade.kafka.message.CommandMessage`.

        Raises:
            UnknownCommand: its type is not registered.
            OverflowError: a number of more than 64 bits.
        """
        form = self._by_type.get(type(command))
        if form is None:
            kind = type(command).__name__
            raise UnknownCommand(f"{kind} is not registered with the codec: call codec.register({kind}) at the start")
        return _encode((FORMAT, form.message_name, form.values(command), reply_to, correlation_id))

    def decode(self, message: bytes) -> CommandMessage:
        """The command in these bytes.

        Raises:
            BadMessage: not a command, one that is not registered, or one of another version.
        """
        try:
            found = _decode(message)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise BadMessage(f"not a command: {error}") from error
        if found.format != FORMAT:
            raise BadMessage(f"version {found.format} of the message format; this program reads {FORMAT}")
        form = self._by_name.get(found.name)
        if form is None:
            raise BadMessage(f"unknown command {found.name!r:.100}")
        try:
            command = form.read(found.content)
        except (msgspec.DecodeError, msgspec.ValidationError, ValueError, TypeError) as error:
            raise BadMessage(f"{found.name}: {error}") from error
        return CommandMessage(command, found.reply_to, found.correlation_id)


def _default(item: Any) -> tuple[Any, ...]:
    if item.default is not MISSING:
        return (item.default,)
    return () if item.default_factory is MISSING else (msgspec.field(default_factory=item.default_factory),)


def _values(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """A function that reads the fields of a command."""
    if len(names) == 1:
        return lambda command: (getattr(command, names[0]),)
    return attrgetter(*names) if names else lambda command: ()


def _own_name(kind: type[Any]) -> str:
    """The name that the class says: a ClassVar, or the default of a field."""
    of_field = next((item.default for item in fields(kind) if item.name == "name"), None)
    name = getattr(kind, "name", None) if of_field is None else of_field
    return name if isinstance(name, str) else ""


def _message_name(kind: type[Any], name: str, version: int) -> str:
    if not 0 < len(name) <= MAX_NAME or "@" in name:
        text = f"needs a name of 1 to {MAX_NAME} characters without @, not {name!r:.100}"
        raise ValueError(f"{kind.__name__} {text}: write `name: ClassVar[str] = …`, or pass `name`")
    if version < 1:
        raise ValueError(f"{kind.__name__}: version must be 1 or more, not {version}")
    return name if version == 1 else f"{name}@{version}"
