"""Records what clients of a lock did, as a history that the checkers judge: calls of the lock, accesses of a resource.

Neighbours: `mutants/locks.py` gives one to the simulator of the locks, `checkers/test_real_locks.py` to real providers.
"""

from stockade.lab.checkers.linearizability.call import ACQUIRE, RELEASE
from stockade.lab.history.final_state import FinalState, Leftovers
from stockade.lab.history.history import History, Phases
from stockade.lab.history.operation import OK, REFUSED, UNKNOWN, LockAccess, Operation

KEY = "a"


class LockRecorder:
    """Calls and accesses of one lock and its one resource; times in seconds of one clock."""

    def __init__(self):
        self.operations, self.accesses = [], []

    def acquired(self, client, owner, times, granted):
        """An acquire has returned; `granted` is None where its caller cannot know.

        What was not answered is withdrawn: it may be granted, and released later.
        """
        self._call(ACQUIRE, client, owner, times, granted)
        if granted is None:
            self._call(RELEASE, client, owner, times, None)

    def released(self, client, owner, times, *, known):
        """A release has returned. If it is not `known` it may come later; a lease that ran out began to at `times`."""
        self._call(RELEASE, client, owner, times, True if known else None)

    def _call(self, action, client, owner, times, outcome):
        type_ = UNKNOWN if outcome is None else OK if outcome else REFUSED
        begin_ns, end_ns = (round(each * 1e9) for each in times)
        number = len(self.operations)
        self.operations.append(Operation(number, client, "", action, (KEY,), "", owner, begin_ns, end_ns, type_))

    def accessed(self, client, owner, token, kind, at_s, *, applied):
        """The resource was asked; it applied the access or refused it."""
        self.accesses.append(LockAccess(client, KEY, owner, token, kind, applied, round(at_s * 1e9)))

    def history(self, end_s=0.0, leftovers=None):
        """Everything, with what was left behind."""
        end_ns = round(end_s * 1e9)
        return History(
            workload="locks",
            strategy="lock",
            database="",
            faults=(),
            seed=0,
            phases=Phases(final_ns=end_ns, end_ns=end_ns),
            operations=tuple(self.operations),
            accesses=tuple(self.accesses),
            final=FinalState(leftovers=leftovers or Leftovers()),
        )
