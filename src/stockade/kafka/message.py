"""A message of the commands' topic: as it is read, as a command, and the key that chooses its partition.

Values only. The bytes of a command are the application's: a `Codec` is injected with the options.
"""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from stockade.core import Command, Key


class Record(NamedTuple):
    """A message as it is read."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]


class CommandMessage(NamedTuple):
    """A command as it is read, and the caller that waits for its outcome.

    Attributes:
        command: what to do.
        reply_to: the service instance of the caller; empty: none waits.
        correlation_id: by which that instance finds its caller.
    """

    command: Command
    reply_to: bytes
    correlation_id: int


class BadMessage(ValueError):
    """These bytes are not a command that this program knows; the message says why."""


class ContextCarrier(Protocol):
    """Carries something of the caller to the worker beside each command, e.g. a trace, in the headers of its message.

    It is called on the event loop, must be quick and must not fail.
    """

    def headers(self, command: Command) -> Mapping[str, bytes]:
        """The headers of a command that is written now."""
        ...

    def received(self, command: Command, headers: Mapping[str, bytes]) -> None:
        """A worker has read this command and is going to decide it."""
        ...


class Codec(Protocol):
    """Writes and reads the commands of an application; `stockade.service.CommandCodec` is one."""

    def encode(self, command: Command, reply_to: bytes = b"", correlation_id: int = 0, /) -> bytes:
        """The bytes of a `CommandMessage`, from its three fields."""
        ...

    def decode(self, message: bytes, /) -> CommandMessage:
        """Read them.

        Raises:
            BadMessage: not a command that this program knows.
        """
        ...


def message_key(command: Command, partition_kind: str = "") -> Key | None:
    """The key that chooses the partition; None: any partition.

    One worker decides all commands that share this key, in the order of the topic. Row locks protect the other rows of
    a command, not the partition. So it should be the key of the hot row.

    Args:
        command: of the application.
        partition_kind: the smallest key of this kind is taken, if the command has one; else the smallest of all.
    """
    keys = command.keys
    return min((key for key in keys if key.kind == partition_kind), default=None) or min(keys, default=None)
