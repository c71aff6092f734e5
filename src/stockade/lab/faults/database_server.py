"""The database server is killed or stopped, or ends one session.

A commit whose reply was lost is in doubt; the same request, sent again, returns what became of it. No negative control
has to fail here: a lock survives its database.
"""

from collections.abc import Sequence

from stockade.lab.faults.possible import make_fault
from stockade.lab.recording.fault import DATABASE, Disturbed
from stockade.lab.site.disk import named
from stockade.lab.site.needs import DATABASE_SERVER


async def kill(disturbed: Disturbed) -> Sequence[str]:
    """SIGKILL to all processes of the server."""
    hit = _server(disturbed)
    await disturbed.site.server.kill()
    return hit


async def stop(disturbed: Disturbed) -> Sequence[str]:
    """Stop it without waiting for clients."""
    hit = _server(disturbed)
    await disturbed.site.server.stop_at_once()
    return hit


async def end_session(disturbed: Disturbed) -> Sequence[str]:
    """End one session, as an administrator or a pooler does."""
    session = await disturbed.site.server.kill_session(disturbed.rng)
    return (session,) if session else ()


async def bring_back(disturbed: Disturbed) -> None:
    """Start it if it is down, and wait until it answers."""
    if why := await disturbed.site.server.bring_back():
        disturbed.note(why)


def _server(disturbed: Disturbed) -> Sequence[str]:
    """The server, if it runs."""
    server = disturbed.site.server
    return tuple(f"{server.kind}, {each}" for each in named(server.pids()))


NEEDS = frozenset({DATABASE_SERVER})
FAULTS = (
    make_fault(
        "database-kill",
        "the database server is killed, and recovers when it starts again",
        kill,
        bring_back,
        needs=NEEDS,
        touches=(DATABASE,),
        exclusive=(DATABASE,),
        ends_it=True,
    ),
    make_fault(
        "database-stop",
        "the database server stops without waiting for its clients, and starts again",
        stop,
        bring_back,
        needs=NEEDS,
        touches=(DATABASE,),
        exclusive=(DATABASE,),
        ends_it=True,
    ),
    make_fault(
        "session-kill",
        "the database server ends one session that is in use",
        end_session,
        bring_back,
        needs=NEEDS,
        recovery_s=5.0,
        touches=(DATABASE,),
        exclusive=(DATABASE,),
    ),
)
