"""The group of the workers: it assigns partitions, and takes them from members that end, pause for too long or join.

As with the cooperative protocol of Kafka, a member keeps what is not taken from it. A member that is paused beyond its
session loses its partitions without hearing of it, and works on when it runs again: the epoch in the database refuses
it. Neighbour: `client_library.py` has the members.
"""

from collections.abc import Callable
from typing import Protocol

from stockade.lab.simulation.world import Process, World

SESSION_S = 0.4  # virtual: a member is expelled that did not run between two looks so far apart
REVOKE_S = 0.5  # a member has so long to give a partition back


class Member(Protocol):
    """A consumer as the group sees it."""

    process: Process

    def assign(self, partition: int) -> None: ...
    def revoke(self, partition: int, done: Callable[[], None]) -> None: ...
    def expel(self, partitions: list[int]) -> None: ...


class Group:
    """Who reads which partition.

    Args:
        world: where it is.
        partitions: how many.
    """

    def __init__(self, world: World, partitions: int) -> None:
        self._world = world
        self._members: list[Member] = []
        self._owners: dict[int, Member | None] = dict.fromkeys(range(partitions))
        self._moving: set[int] = set()
        self._absent: set[int] = set()  # by id: members that did not run at the last look
        world.after(SESSION_S, self._look)

    def join(self, member: Member) -> None:
        """A member begins, or begins again."""
        if member not in self._members:
            self._members.append(member)
            self._world.after(0.001, self.balance)

    def leave(self, member: Member) -> None:
        """A member ends; others get its partitions."""
        if member in self._members:
            self._members.remove(member)
            self._free(member)
            self._world.after(0.001, self.balance)

    def rotate(self) -> None:
        """Assign every partition anew, to another member where there is one."""
        self._members = self._members[1:] + self._members[:1]
        for partition, owner in self._owners.items():
            if owner is not None and partition not in self._moving:
                self._take_from(owner, partition)

    def balance(self) -> None:
        """Move the partitions whose owner is not the one that should have them."""
        if not self._members:
            return
        for partition, owner in self._owners.items():
            wanted = self._members[partition % len(self._members)]
            if owner is wanted or partition in self._moving:
                continue
            if owner is None:
                self._owners[partition] = wanted
                wanted.assign(partition)
            else:
                self._take_from(owner, partition)

    def _take_from(self, owner: Member, partition: int) -> None:
        self._moving.add(partition)
        ended = False

        def done() -> None:
            nonlocal ended
            if not ended:
                ended = True
                self._moving.discard(partition)
                self._owners[partition] = None
                self.balance()

        owner.revoke(partition, done)
        self._world.after(REVOKE_S, done)

    def _free(self, member: Member) -> list[int]:
        owned = [partition for partition, owner in self._owners.items() if owner is member]
        for partition in owned:
            if partition not in self._moving:
                self._owners[partition] = None
        return owned

    def _look(self) -> None:
        """Expel who did not run at two looks."""
        away = {id(each) for each in self._members if each.process.loop.paused or each.process.loop.crashed}
        for member in [each for each in self._members if id(each) in away & self._absent]:
            self._members.remove(member)
            member.expel(self._free(member))
        self._absent = away
        self.balance()
        self._world.after(SESSION_S, self._look)
