"""A process that takes a lock as the Kotlin project's report does and then does nothing, so that it can be killed.

`python -m stockade.lab.claims.holder URL NAME LIFETIME_MS`; 0 is no expiry. Neighbour: `runs/expiry.py` starts it.
"""

import asyncio
import sys

from stockade.locks.redis.transport.multiplexed import MultiplexedTransport

CALL_S = 2.0


async def main(url: str, name: str, lifetime_ms: int) -> None:
    """Take the lock, say so, and wait for the end of the input."""
    transport = MultiplexedTransport(url)
    expiry = ("PX", lifetime_ms) if lifetime_ms else ()
    if not await transport.call("SET", name, "lock", "NX", *expiry, timeout_s=CALL_S):
        raise SystemExit(f"somebody else holds {name}")
    sys.stdout.write("held\n")  # to the process that started this one
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await transport.call("DEL", name, timeout_s=CALL_S)
    await transport.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
