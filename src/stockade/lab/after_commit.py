"""A negative control for events: commit first, then publish, and keep no record of what is still to be published.

An AFTER_COMMIT listener works like this. If the process dies in between, or the send fails, the event is lost.
Neighbour: `shop/relay/` publishes from the outbox and loses none.
"""

from collections.abc import Awaitable, Callable

from stockade.core import Accepted, Command, Rejected

Execute = Callable[[Command], Awaitable[Accepted | Rejected]]
Publish = Callable[[Command], Awaitable[None]]


class AfterCommit:
    """Executes commands, and publishes the accepted ones afterwards.

    Args:
        execute: executes a command and commits.
        publish: sends its event; an exception is counted and ignored.

    Attributes:
        lost: events whose publication failed.
    """

    def __init__(self, execute: Execute, publish: Publish) -> None:
        self._execute = execute
        self._publish = publish
        self.lost = 0

    async def execute(self, command: Command) -> Accepted | Rejected:
        """Commit, then publish once."""
        outcome = await self._execute(command)
        if isinstance(outcome, Accepted):
            try:
                await self._publish(command)
            except Exception:  # noqa: BLE001 - losing the event is what this control shows
                self.lost += 1
        return outcome
