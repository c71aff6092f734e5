"""Liveness: something was done; after the last heal the rate is back in the stated time; nobody starves in a queue.

The rate is that of decisions about commands; reads do not count. It is back when `WINDOWS` windows in a row have at
least `SHARE` of the rate before the faults, each of them `EACH`, and something was accepted in them. That a refusal is
right is judged by `right_refusal`. `settings` of the history state the time (`recovery_s`) and whether the strategy
serves in turn (`fifo`); what they do not state is not judged. A wait is compared with the median of its row, without
what the machine was late.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from stockade.lab.checkers.fault_times import active_faults, disturbed_times
from stockade.lab.checkers.indexed_history import READ, IndexedHistory
from stockade.lab.checkers.lateness import late_ns
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.operation import OK, REFUSED, Operation

RULE: Final = "liveness"
SHARE: Final = 0.8
EACH: Final = 0.6  # of two windows one may be poor, as on a busy machine: not empty
WINDOW_S: Final = 0.6
WINDOWS: Final = 2  # in a row: one good moment is no recovery
STEP_S: Final = 0.1
LEAST_WAITS: Final = 20  # at one row: a median of fewer says little
STARVED_TIMES: Final = 10  # the longest wait of a queue that serves in turn, as a multiple of the median
STARVED_FLOOR_S: Final = 0.25  # a machine that pauses for this long starves nobody


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Report that nothing was done, that the rate did not come back, and the longest wait of a client."""
    decided = [each for each in history.history.operations if each.type in (OK, REFUSED) and each.command != READ]
    if not decided:
        yield Violation(RULE, "nothing was decided: this history proves nothing")
        return
    accepted = sorted(each.return_ns for each in decided if each.type == OK)
    yield from _recovery(history, sorted(each.return_ns for each in decided), accepted)
    if history.history.settings.get("fifo"):
        yield from _starvation(history, decided)


def _recovery(history: IndexedHistory, returns: list[int], accepted: list[int]) -> Iterator[Violation]:
    phases, stated = history.history.phases, history.history.settings.get("recovery_s")
    warm_s = (phases.faults_ns - phases.warm_ns) / 1e9
    if not isinstance(stated, int | float) or not history.history.fault_log:
        return
    base = _count(returns, phases.warm_ns, phases.faults_ns) / warm_s if warm_s > 0 else 0.0
    if not base:
        text = "nothing was decided before the faults: there is no rate that could come back"
        yield Violation(RULE, text, at_ns=phases.faults_ns, about_time=True)
        return
    left_s = (phases.final_ns - phases.healed_ns) / 1e9
    if left_s < WINDOWS * WINDOW_S:
        text = f"the load went on for {left_s:.1f} s after the last heal: too short to see the rate come back"
        yield Violation(RULE, text, at_ns=phases.healed_ns, about_time=True)
        return
    best, any_before = 0.0, bool(_count(accepted, phases.warm_ns, phases.faults_ns))
    for step in range(int(stated / STEP_S) + 1):
        begin_ns = phases.healed_ns + int(step * STEP_S * 1e9)
        edges = [begin_ns + int(n * WINDOW_S * 1e9) for n in range(WINDOWS + 1)]
        if edges[-1] > phases.final_ns:
            break
        counts = [_count(returns, begin, end) for begin, end in pairwise(edges)]
        rate = min(sum(counts) / WINDOWS, min(counts) * SHARE / EACH) / WINDOW_S
        if any_before and not _count(accepted, edges[0], edges[-1]):
            continue
        best = max(best, rate)
        if best >= SHARE * base:
            return
    text = (
        f"{best:.0f} decisions/s at most, {WINDOWS} times {WINDOW_S:g} s in a row, within {stated:g} s after the last "
        f"heal, {base:.0f}/s before the faults"
    )
    yield Violation(RULE, text, at_ns=phases.healed_ns, about_time=True)


def _count(times: list[int], begin_ns: int, end_ns: int) -> int:
    return bisect_left(times, end_ns) - bisect_left(times, begin_ns)


def _starvation(history: IndexedHistory, decided: list[Operation]) -> Iterator[Violation]:
    """Of commands that no fault overlaps, nor the time that its healing may take."""
    times = disturbed_times(history.history)
    at_row: dict[str, list[Operation]] = defaultdict(list)
    for each in decided:
        if each.command != READ and each.keys and not active_faults(times, each.invoke_ns, each.return_ns):
            at_row[each.keys[0]].append(each)
    for key, waited in at_row.items():
        if len(waited) >= LEAST_WAITS:
            yield from _starved(history, key, sorted(waited, key=_wait_ns))


def _wait_ns(operation: Operation) -> int:
    return operation.return_ns - operation.invoke_ns


def _starved(history: IndexedHistory, key: str, waited: list[Operation]) -> Iterator[Violation]:
    """The longest wait at one row, if it is far longer than the usual one; `waited` is sorted by the waits."""
    longest = waited[-1]
    median_s, longest_s = _wait_ns(waited[len(waited) // 2]) / 1e9, _wait_ns(longest) / 1e9
    machine_s = late_ns(history.final, longest.invoke_ns, longest.return_ns) / 1e9
    if longest_s - machine_s > max(STARVED_TIMES * median_s, STARVED_FLOOR_S):
        yield Violation(
            RULE,
            f"client {longest.client} waited {longest_s:.3f} s, half of all at {key} waited {median_s:.3f} s at most",
            key=key,
            request_id=longest.request_id,
            operation=longest.number,
            at_ns=longest.return_ns,
            about_time=True,
        )
