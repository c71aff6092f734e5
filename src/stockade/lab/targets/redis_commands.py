"""How many commands clients have sent to a Redis so far, by its own count. Neighbours: claims and sweeps ask it."""

from typing import Final

from stockade.locks.redis.transport.multiplexed import MultiplexedTransport

CALL_S: Final = 2.0
SENT: Final = ("cmdstat_eval", "cmdstat_subscribe", "cmdstat_unsubscribe", "cmdstat_script")


async def commands_sent(transport: MultiplexedTransport) -> int:
    """Commands that clients have sent: those inside a script are not counted, nor is this question."""
    said = bytes(await transport.call("INFO", "commandstats", timeout_s=CALL_S)).decode()
    calls = 0
    for line in said.splitlines():
        name, _, rest = line.partition(":")
        if name.startswith(SENT):
            calls += int(rest.partition("calls=")[2].partition(",")[0])
    return calls
