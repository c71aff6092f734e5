"""The seeds' way to publish, as the control that must lose events: commit first, then send, and remember nothing.

Seed 004 publishes in an AFTER_COMMIT listener, seed 000 sends after the transaction and logs what fails (defects A4,
B8): whatever happens between the two, the event is gone. Neighbour: `shop.relay` is the form that loses none.
"""

from collections.abc import Awaitable, Callable

from stockade.core import Accepted, Command, Rejected

Execute = Callable[[Command], Awaitable[Accepted | Rejected]]
Publish = Callable[[Command], Awaitable[None]]


class AfterCommit:
    """Carries commands out and publishes what was accepted afterwards.

    Args:
        execute: carries a command out and commits.
        publish: sends its event; what it raises is counted and forgotten, as the seeds do.
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
            except Exception:  # noqa: BLE001 - forgetting it is what this control shows
                self.lost += 1
        return outcome
