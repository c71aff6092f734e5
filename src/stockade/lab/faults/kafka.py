"""The broker is killed; a log worker is killed between its commit and what follows; a partition is read again.

No negative control has to fail here: the position moves in the transaction that decides.
"""

import signal

from sqlalchemy import update

from stockade.lab.faults.pieces import POINT_WAIT_S, choose, nothing, replace_missing
from stockade.lab.faults.possible import make_fault
from stockade.lab.recording.fault import Disturbed
from stockade.lab.site.needs import KAFKA
from stockade.store import Database

NEEDS = frozenset({KAFKA})
RECOVERY_S = 15.0


async def kill_broker(disturbed: Disturbed) -> None:
    """SIGKILL to the only broker."""
    if disturbed.site.kafka is not None:
        await disturbed.site.kafka.kill()


async def restore_broker(disturbed: Disturbed) -> None:
    """Start it again."""
    if disturbed.site.kafka is not None:
        await disturbed.site.kafka.restore()
    await replace_missing(disturbed)


async def kill_worker(disturbed: Disturbed) -> None:
    """SIGKILL a log worker right after a commit: nothing was answered, and no offset reported to the broker."""
    number = choose(disturbed, disturbed.workers)
    await disturbed.workers.signal_at_point(number, "committed", signal.SIGKILL)
    hit = await disturbed.workers.was_signalled(number, POINT_WAIT_S)
    if not hit:  # it has no partition, or no command came
        await disturbed.workers.kill(number)
    disturbed.note(f"log worker {number} {'right after a commit' if hit else 'idle'}")


async def replay(disturbed: Disturbed) -> None:
    """Set the position of every partition to its first offset; the workers take their partitions again."""
    database = await Database.open(disturbed.site.admin_url, pool_size=1)
    try:
        offsets = database.tables.consumer_offsets
        again = update(offsets).values(position=0, epoch=offsets.c.epoch + 1)
        await database.write(lambda connection: connection.execute(again), timeout_s=POINT_WAIT_S)
    finally:
        await database.close()


FAULTS = (
    make_fault(
        "broker-kill",
        "the only Kafka broker is killed, and starts again",
        kill_broker,
        restore_broker,
        needs=NEEDS,
        recovery_s=RECOVERY_S,
    ),
    make_fault(
        "worker-kill",
        "a log worker is killed between the commit of its transaction and what follows",
        kill_worker,
        replace_missing,
        needs=NEEDS,
        covered_by=("crash",),
        recovery_s=RECOVERY_S,
        fault_points=True,
    ),
    make_fault(
        "replay",
        "every partition of the command log is read again from its first offset",
        replay,
        nothing,
        needs=NEEDS,
        recovery_s=RECOVERY_S,
    ),
)
