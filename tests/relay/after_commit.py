"""A negative control for events: commit first, then publish, and keep no record of what is still to be published.

An AFTER_COMMIT listener works like this. If the process dies in between, or the send fails, the event is lost.
Neighbour: `service/relay/` publishes from the outbox and loses none.
"""

from stockade.core import Accepted


class AfterCommit:
    """Executes commands, and publishes the accepted ones afterwards.

    Args:
        execute: executes a command and commits.
        publish: sends its event; an exception is counted and ignored.

    Attributes:
        lost: events whose publication failed.
    """

    def __init__(self, execute, publish):
        self._execute = execute
        self._publish = publish
        self.lost = 0

    async def execute(self, command):
        """Commit, then publish once."""
        outcome = await self._execute(command)
        if isinstance(outcome, Accepted):
            try:
                await self._publish(command)
            except Exception:  # noqa: BLE001 - losing the event is what this control shows
                self.lost += 1
        return outcome
