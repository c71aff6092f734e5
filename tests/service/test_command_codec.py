"""The codec of an application: by name and version; what it cannot carry is refused when it is registered."""

import pickle
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupons.application import APPLICATION
from coupons.commands import CloseCampaign, GiveCoupon
from stockade.kafka.message import BadMessage, message_key
from stockade.service.command_codec import CommandCodec, UnknownCommand
from stockade.shop.commands.charge_points import ChargePoints
from stockade.shop.model.command_codec import COMMAND_CODEC

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)


class Line(NamedTuple):
    """A part of a command."""

    sku: str
    n: int


@dataclass(frozen=True)
class Rename:
    """A command in its first version."""

    name: ClassVar[str] = "rename"
    request_id: str
    title: str


@dataclass(frozen=True)
class RenameAll:
    """The same command in its second version."""

    name: str = "rename"
    request_id: str = ""
    lines: tuple[Line, ...] = ()
    notes: list[str] = field(default_factory=list)


@given(TEXTS, TEXTS, st.binary(max_size=32), st.integers(0, 2**62))
def test_what_is_written_is_read(campaign, user, reply_to, number):
    """Every command comes back equal, with who waits for it."""
    command = GiveCoupon("0" * 32, campaign, user, number)
    message = APPLICATION.codec.decode(APPLICATION.codec.encode(command, reply_to, number))
    assert message == (command, reply_to, number)


def test_two_versions_stand_side_by_side():
    """The new version is another message; a program that knows only the old one refuses it, and says so."""
    old = CommandCodec(Rename)
    both = CommandCodec(Rename)
    both.register(RenameAll, version=2)
    assert sorted(both.commands) == ["rename", "rename@2"]
    new = RenameAll("rename", "1" * 32, (Line("s", 1),), ["a"])
    assert both.decode(both.encode(new)).command == new
    assert both.decode(old.encode(Rename("1" * 32, "t"))).command == Rename("1" * 32, "t")
    with pytest.raises(BadMessage, match="unknown command 'rename@2'"):
        old.decode(both.encode(new))


def test_a_new_field_at_the_end_reads_old_messages():
    """Fields that a message lacks have their defaults."""
    codec = CommandCodec()
    codec.register(RenameAll)
    short = CommandCodec(Rename).encode(Rename("rename", "2" * 32))
    read = codec.decode(short).command
    assert (read.name, read.request_id, read.lines, read.notes) == ("rename", "2" * 32, (), [])


@dataclass
class Mutable:
    """Not frozen."""

    name: ClassVar[str] = "mutable"


@dataclass(frozen=True)
class Nameless:
    """Without a name."""


@dataclass(frozen=True)
class Strange:
    """With a field that no message holds."""

    name: ClassVar[str] = "strange"
    what: "Missing"  # noqa: F821 - the type cannot be found


class Plain:
    """No dataclass."""

    name = "plain"


@pytest.mark.parametrize(
    ("kinds", "says"),
    [
        ([Mutable], "must be a frozen dataclass"),
        ([Plain], "must be a frozen dataclass"),
        ([Nameless], "needs a name of 1 to 64 characters"),
        ([Strange], "has a field that cannot be read"),
        ([Rename, Rename], "two commands are registered as rename: Rename and Rename"),
        ([Rename, RenameAll], "two commands are registered as rename: Rename and RenameAll; give one another name"),
    ],
)
def test_what_cannot_be_registered_is_refused(kinds, says):
    """The message says what to do; nothing is found out at the first message only."""
    with pytest.raises((TypeError, ValueError), match=says):
        CommandCodec(*kinds)


def test_a_version_and_a_name_that_cannot_be():
    """Versions count from 1, and a name has no @, which separates the two."""
    codec = CommandCodec()
    with pytest.raises(ValueError, match="version must be 1 or more"):
        codec.register(Rename, version=0)
    with pytest.raises(ValueError, match="without @"):
        codec.register(Rename, name="a@2")
    codec.register(Rename)
    with pytest.raises(ValueError, match="is registered already, as rename"):
        codec.register(Rename, name="other")


def test_unknown_commands_are_refused_on_both_sides():
    """Who writes is told how to register; who reads names the command."""
    codec = CommandCodec(GiveCoupon)
    with pytest.raises(UnknownCommand, match=r"call codec.register\(CloseCampaign\)"):
        codec.encode(CloseCampaign("spring", 1))
    with pytest.raises(BadMessage, match="unknown command 'close_campaign'"):
        codec.decode(APPLICATION.codec.encode(CloseCampaign("spring", 1)))
    for wrong in (b"", b"garbage", b"\x93\x02\xa1a\x90"):
        with pytest.raises(BadMessage):
            codec.decode(wrong)


def test_the_partition_key_is_the_hot_row():
    """An application names the kind of its hot rows; without it the smallest key decides."""
    command: Any = GiveCoupon("0" * 32, "spring", "ann", 1)
    assert message_key(command, "campaign") == command.campaign_key
    assert message_key(command, "coupon") == command.coupon_key
    assert message_key(command, "other") == message_key(command) == command.campaign_key


def test_a_codec_travels_to_another_process():
    """Pickled, as the lab does for its processes, it writes the same bytes and reads them."""
    copied = pickle.loads(pickle.dumps(COMMAND_CODEC))
    command = ChargePoints("0" * 32, "f", 1, "ann", 5)
    assert copied.encode(command) == COMMAND_CODEC.encode(command)
    assert copied.decode(COMMAND_CODEC.encode(command)).command == command
