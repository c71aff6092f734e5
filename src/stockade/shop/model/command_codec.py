"""The codec of the shop's commands. Neighbours: `shop.config.strategy_options` hands it to `kafka`."""

from stockade.service.command_codec import CommandCodec
from stockade.shop import commands

COMMAND_CODEC = CommandCodec(
    *(kind for kind in (getattr(commands, name) for name in commands.__all__) if hasattr(kind, "decide"))
)
encode_command, decode_command = COMMAND_CODEC.encode, COMMAND_CODEC.decode
