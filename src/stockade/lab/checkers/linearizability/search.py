"""The search for an order that explains every call of one object (Wing and Gong, "Testing and verifying concurrent
objects", 1993), with the memory of Lowe ("Testing for linearizability", 2017): no configuration is looked at twice.

A configuration is what was ordered so far and the state. Only the calls around the first one that is not ordered yet
are written out, because everything before them is. So where nothing was open (a quiescent point) a configuration is
nothing but the state, and the search forgets what was before, as if the history were cut there. Intervals are closed:
calls that meet at one moment are concurrent. A call without an answer may take effect at any time until the end, or
never. The search has a limit of steps, and says "undecided" there, never "ok".
"""

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from stockade.lab.checkers.linearizability.call import READ, Call, ObjectCalls
from stockade.lab.checkers.linearizability.models import Model, State

MAX_STEPS = 500_000  # configurations: some ten seconds, and 150 MB


class Verdict(Enum):
    """What the search found out."""

    OK = "ok"
    VIOLATION = "violation"
    UNDECIDED = "undecided"


class Found(NamedTuple):
    """The end of a search.

    Attributes:
        verdict: what it found out.
        steps: configurations that it looked at.
        stuck: the first call that no order explains, where there is a violation.
        states: in which the object may have been before that call.
    """

    verdict: Verdict
    steps: int
    stuck: Call | None = None
    states: tuple[State, ...] = ()


class Configuration(NamedTuple):
    """What is ordered so far.

    Attributes:
        first: index of the first call with an answer that is not ordered yet.
        ordered: bits of those behind it that are.
        used: bits of the calls without an answer that were carried out.
        state: of the object.
    """

    first: int
    ordered: int
    used: int
    state: State


class Search:
    """The search over the calls of one object.

    Args:
        calls: of the object.
        model: what it allows.
        max_steps: configurations after which it gives up.
    """

    def __init__(self, calls: ObjectCalls, model: Model, max_steps: int = MAX_STEPS) -> None:
        self._known = [call for call in calls.calls if call.known]
        self._unknown = [call for call in calls.calls if not call.known]
        self._initial, self._model, self._max_steps = calls.initial, model, max_steps

    def run(self) -> Found:
        """Look for an order."""
        begin = Configuration(0, 0, 0, self._initial)
        seen, waiting = {begin}, [begin]
        deepest, states = 0, {self._initial}
        while waiting:
            if len(seen) > self._max_steps:
                return Found(Verdict.UNDECIDED, len(seen))
            now = waiting.pop()
            if now.first == len(self._known):
                return Found(Verdict.OK, len(seen))
            if now.first >= deepest:
                if now.first > deepest:
                    deepest, states = now.first, set()
                states.add(now.state)
            for following in self._following(now):
                if following not in seen:
                    seen.add(following)
                    waiting.append(following)
        return Found(Verdict.VIOLATION, len(seen), self._known[deepest], tuple(sorted(states)))

    def _following(self, now: Configuration) -> Iterator[Configuration]:
        """Every configuration with one call more; the last is the best to try first.

        A call that never changes anything (a read, or what was refused) and fits now goes first, and nothing else is
        tried: in every order that explains the rest it can be moved to the front.
        """
        open_, first_return_ns = self._open(now)
        for offset in open_:
            call = self._known[now.first + offset]
            if (call.action == READ or not call.ok) and self._model(now.state, call) is not None:
                yield self._with(now, offset, now.state)
                return
        for at, call in enumerate(self._unknown):
            if call.invoke_ns > first_return_ns:
                break
            if not now.used >> at & 1:
                state = self._model(now.state, call)
                if state is not None and state != now.state:
                    yield now._replace(used=now.used | 1 << at, state=state)
        for offset in reversed(open_):
            state = self._model(now.state, self._known[now.first + offset])
            if state is not None:
                yield self._with(now, offset, state)

    def _open(self, now: Configuration) -> tuple[Sequence[int], int]:
        """The calls that may be next, as offsets, and the first return among all that are not ordered yet.

        A call may be next unless another one that is not ordered had returned before it began.
        """
        first_return_ns = self._known[now.first].return_ns
        found = []
        for at in range(now.first, len(self._known)):
            call = self._known[at]
            if call.invoke_ns > first_return_ns:
                break
            if not now.ordered >> (at - now.first) & 1:
                found.append(at - now.first)
                first_return_ns = min(first_return_ns, call.return_ns)
        return [each for each in found if self._known[now.first + each].invoke_ns <= first_return_ns], first_return_ns

    def _with(self, now: Configuration, offset: int, state: State) -> Configuration:
        ordered, first = now.ordered | 1 << offset, now.first
        while ordered & 1:  # at most once for each call
            ordered >>= 1
            first += 1
        return Configuration(first, ordered, now.used, state)
