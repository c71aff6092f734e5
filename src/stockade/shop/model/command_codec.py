"""Commands as bytes, for the log: MessagePack, by name, with a version.

A message is [version, name, [field, …], reply-to, correlation id]. The last two, the service instance of the caller
and its number for the caller, may be missing. New fields go to the end of a command and have a default; then old
messages are still read. Anything else is a new version here.
Neighbours: `shop.config.strategy_options` hands the codec to `kafka`.
"""

from dataclasses import MISSING, fields
from operator import attrgetter
from typing import Any, get_type_hints

import msgspec

from stockade.core import Command
from stockade.kafka.message import BadMessage, CommandCodec, CommandMessage
from stockade.shop import commands

VERSION = 1


class _Message(msgspec.Struct, array_like=True):
    version: int
    name: str
    content: msgspec.Raw
    reply_to: bytes = b""
    correlation_id: int = 0


class _Form:
    """How one command is written and read."""

    def __init__(self, kind: type[Any]) -> None:
        self.kind = kind
        hints = get_type_hints(kind)
        names = [item for item in fields(kind) if item.init]
        described = [
            (item.name, hints[item.name]) if item.default is MISSING else (item.name, hints[item.name], item.default)
            for item in names
        ]
        struct = msgspec.defstruct(f"{kind.__name__}Message", described, array_like=True)
        self.values = attrgetter(*(item.name for item in names))
        self._decode = msgspec.msgpack.Decoder(struct).decode

    def read(self, content: msgspec.Raw) -> Command:
        command: Command = self.kind(*self.values(self._decode(content)))
        return command


_FORMS = {
    kind.name: _Form(kind) for kind in (getattr(commands, name) for name in commands.__all__) if hasattr(kind, "decide")
}
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Message).decode


def encode_command(command: Command, reply_to: bytes = b"", correlation_id: int = 0) -> bytes:
    """The bytes of a command; see `stockade.kafka.message.CommandMessage`.

    Raises:
        KeyError: it is not one of the shop's.
        OverflowError: a number of more than 64 bits, which `problem` refuses.
    """
    return _encode((VERSION, command.name, _FORMS[command.name].values(command), reply_to, correlation_id))


def decode_command(message: bytes) -> CommandMessage:
    """The command in these bytes.

    Raises:
        BadMessage: not a command, one that this program does not know, or one of another version.
    """
    try:
        found = _decode(message)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BadMessage(f"not a command: {error}") from error
    if found.version != VERSION:
        raise BadMessage(f"version {found.version} of the message format; this program reads {VERSION}")
    if found.name not in _FORMS:
        raise BadMessage(f"unknown command {found.name!r}")
    try:
        command = _FORMS[found.name].read(found.content)
    except (msgspec.DecodeError, msgspec.ValidationError, ValueError, TypeError) as error:
        raise BadMessage(f"{found.name}: {error}") from error
    return CommandMessage(command, found.reply_to, found.correlation_id)


COMMAND_CODEC = CommandCodec(encode_command, decode_command)
