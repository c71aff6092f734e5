"""The broker is killed; a log worker is killed between its commit and what follows; a partition is read again.

No negative control has to fail here: the position moves in the transaction that decides.
"""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection, select, update

from stockade.lab.faults.pieces import POINT_WAIT_S, choose, kill_at_point, nothing, replace_missing
from stockade.lab.faults.possible import make_fault
from stockade.lab.recording.fault import DATABASE, KAFKA, PROCESSES, Disturbed
from stockade.lab.site import needs
from stockade.store import Database

NEEDS = frozenset({needs.KAFKA})
RECOVERY_S = 15.0
KILL_WORKER = "worker-kill"


async def kill_broker(disturbed: Disturbed) -> Sequence[str]:
    """SIGKILL to the only broker."""
    broker = disturbed.site.kafka
    if broker is None or not broker.server.running:
        return ()
    hit = f"broker, process {broker.server.pid}"
    await broker.kill()
    return (hit,)


async def bring_back_broker(disturbed: Disturbed) -> None:
    """Start it again."""
    if disturbed.site.kafka is not None:
        await disturbed.site.kafka.bring_back()
    await replace_missing(disturbed)


async def kill_worker(disturbed: Disturbed) -> Sequence[str]:
    """SIGKILL a log worker right after a commit: nothing was answered, and no offset reported to the broker."""
    process = choose(disturbed, disturbed.workers)
    if process is None:
        return ()
    # one that does not come by has no partition, or no command came
    return (process.name,) if await kill_at_point(disturbed, KILL_WORKER, process, "committed") else ()


async def replay(disturbed: Disturbed) -> Sequence[str]:
    """Set the position of every partition to its first offset; the workers take their partitions again."""
    database = await Database.open(disturbed.site.admin_url, pool_size=1)
    offsets = database.tables.consumer_offsets
    again = update(offsets).values(position=0, epoch=offsets.c.epoch + 1)

    def go_back(connection: Connection) -> list[str]:
        moved = connection.execute(select(offsets.c.part, offsets.c.position).where(offsets.c.position > 0)).all()
        connection.execute(again)
        return [f"partition {part} from {position}" for part, position in moved]

    try:
        return await database.write(go_back, timeout_s=POINT_WAIT_S)
    finally:
        await database.close()


FAULTS = (
    make_fault(
        "broker-kill",
        "the only Kafka broker is killed, and starts again",
        kill_broker,
        bring_back_broker,
        needs=NEEDS,
        recovery_s=RECOVERY_S,
        touches=(KAFKA,),
        exclusive=(KAFKA,),
        ends_it=True,
    ),
    make_fault(
        KILL_WORKER,
        "a log worker is killed between the commit of its transaction and what follows",
        kill_worker,
        partial(replace_missing, fault=KILL_WORKER),
        needs=NEEDS,
        covered_by=("crash",),
        recovery_s=RECOVERY_S,
        fault_points=True,
        touches=(PROCESSES,),
        exclusive=(KAFKA,),
        ends_it=True,
    ),
    make_fault(
        "replay",
        "every partition of the command log is read again from its first offset",
        replay,
        nothing,
        needs=NEEDS,
        recovery_s=RECOVERY_S,
        touches=(DATABASE,),
        exclusive=(KAFKA,),
    ),
)
