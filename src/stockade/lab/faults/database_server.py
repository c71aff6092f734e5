"""The database server is killed or stopped, or ends one session.

A commit whose reply was lost is in doubt; the same request, sent again, returns what became of it. No negative control
has to fail here: a lock survives its database.
"""

from stockade.lab.faults.possible import make_fault
from stockade.lab.recording.fault import Disturbed
from stockade.lab.site.needs import DATABASE_SERVER


async def kill(disturbed: Disturbed) -> None:
    """SIGKILL to all processes of the server."""
    await disturbed.site.server.kill()


async def stop(disturbed: Disturbed) -> None:
    """Stop it without waiting for clients."""
    await disturbed.site.server.stop_at_once()


async def end_session(disturbed: Disturbed) -> None:
    """End one session, as an administrator or a pooler does."""
    disturbed.note(await disturbed.site.server.kill_session(disturbed.rng))


async def restore(disturbed: Disturbed) -> None:
    """Start it if it is down, and wait until it answers."""
    await disturbed.site.server.restore()


NEEDS = frozenset({DATABASE_SERVER})
FAULTS = (
    make_fault(
        "database-kill", "the database server is killed, and recovers when it starts again", kill, restore, needs=NEEDS
    ),
    make_fault(
        "database-stop",
        "the database server stops without waiting for its clients, and starts again",
        stop,
        restore,
        needs=NEEDS,
    ),
    make_fault(
        "session-kill",
        "the database server ends one session that is in use",
        end_session,
        restore,
        needs=NEEDS,
        recovery_s=5.0,
    ),
)
