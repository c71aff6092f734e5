"""Serializable in real time: one order of all requests explains what each wrote and saw, on all rows together.

Each version has one writer, so the ledger is the order of the versions, and the dependencies follow without a search: a
writer comes before the next one (ww), before who saw its version (wr), and who saw a version comes before who wrote the
next (rw). A request that had returned before another began comes before it, too; the order of time has one node for
each return, so it needs 3 edges for each request instead of their square. A cycle says that there is no order. This is
what Elle does (Kingsbury, Alvaro: "Elle: Inferring Isolation Anomalies from Client-Observed Experiments", VLDB 2020).

Whatever is on no cycle goes first: nodes that nothing precedes, or nothing follows, are taken away again and again
(Kahn, "Topological sorting of large networks", 1962). What stays contains every cycle; the shortest is shown.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from stockade.lab.checkers.indexed_history import NEVER, READ, IndexedHistory, Interval
from stockade.lab.checkers.violation import Violation
from stockade.lab.history.operation import OK, REFUSED

RULE: Final = "serializable"
MAX_STARTS = 64  # nodes from which a shortest cycle is looked for
MAX_SHOWN = 12  # steps of a cycle


class Graph(NamedTuple):
    """Dependencies between transactions. A node below `len(names)` is a transaction, any other a moment.

    Attributes:
        names: of the transactions: request ids, or `read N` for the read with this number of operation.
        after: by node: the nodes that must come after it.
        reasons: by edge between two transactions, why: the kind, the row and the version.
    """

    names: Sequence[str]
    after: list[list[int]]
    reasons: Mapping[tuple[int, int], str]


def check(history: IndexedHistory) -> Iterator[Violation]:
    """Report the shortest cycle that is found."""
    graph = build(history)
    cycle = find_cycle(graph)
    if not cycle:
        return
    steps = _steps(graph, cycle)
    names = [graph.names[node] for node in cycle if node < len(graph.names)]
    shown = "; ".join(steps[:MAX_SHOWN]) + (f"; and {len(steps) - MAX_SHOWN} steps more" if steps[MAX_SHOWN:] else "")
    tries = history.tries.get(names[0], ())
    yield Violation(
        RULE,
        f"no order explains {len(names)} requests: {shown}",
        key=next((reason.split(" of ")[-1] for edge, reason in graph.reasons.items() if edge[0] == cycle[0]), ""),
        request_id=names[0],
        operation=tries[0].number if tries else -1,
    )


def build(history: IndexedHistory) -> Graph:
    """The dependencies of a history."""
    nodes: dict[str, int] = {}
    writers: dict[tuple[str, int], int] = {}
    for line in history.final.ledger:
        node = nodes.setdefault(line.request_id, len(nodes))
        writers.setdefault((line.key, line.version), node)
    seen: list[tuple[int, str, int]] = []
    spans: dict[int, Interval] = {}
    for id_, operation in history.decided.items():
        if operation.type == REFUSED and operation.versions:
            node = nodes.setdefault(id_, len(nodes))
            seen += [(node, key, version) for key, version in operation.versions.items()]
    for id_, interval in history.intervals.items():
        if id_ in nodes:
            spans[nodes[id_]] = interval
    for operation in history.history.operations:
        if operation.command == READ and operation.type == OK:
            node = nodes.setdefault(f"read {operation.number}", len(nodes))
            seen += [(node, key, version) for key, version in operation.versions.items()]
            spans[node] = Interval(operation.invoke_ns, operation.return_ns)
    after: list[list[int]] = [[] for _ in nodes]
    reasons: dict[tuple[int, int], str] = {}
    for (key, version), node in writers.items():
        _edge(after, reasons, node, writers.get((key, version + 1)), f"wrote version {version} of {key}")
    for node, key, version in seen:
        _edge(after, reasons, writers.get((key, version)), node, f"wrote version {version} of {key}")
        _edge(after, reasons, node, writers.get((key, version + 1)), f"saw version {version} of {key}")
    _add_time(after, spans)
    return Graph(list(nodes), after, reasons)


def _edge(
    after: list[list[int]], reasons: dict[tuple[int, int], str], before: int | None, node: int | None, reason: str
) -> None:
    if before is None or node is None or before == node:
        return
    after[before].append(node)
    reasons.setdefault((before, node), reason)


def _add_time(after: list[list[int]], spans: Mapping[int, Interval]) -> None:
    """Moments in the order of time: a return comes before its moment, and that before every later invocation.

    At equal times the invocations come first: such operations count as concurrent.
    """
    events = [(span.invoke_ns, 0, node) for node, span in spans.items()]
    events += [(span.return_ns, 1, node) for node, span in spans.items() if span.return_ns != NEVER]
    events.sort()
    moment = -1
    for _, is_return, node in events:
        if not is_return:
            if moment >= 0:
                after[moment].append(node)
            continue
        after.append([])
        new = len(after) - 1
        after[node].append(new)
        if moment >= 0:
            after[moment].append(new)
        moment = new


def find_cycle(graph: Graph) -> list[int]:
    """The nodes of a short cycle, without the order of time if there is such a one; empty if there is none."""
    core = on_cycles(graph.after)
    if not core:
        return []
    known = len(graph.names)
    data = [[target for target in targets if target < known] for targets in graph.after[:known]]
    return shortest_cycle(data, on_cycles(data)) or shortest_cycle(graph.after, core)


def on_cycles(after: Sequence[Sequence[int]]) -> set[int]:
    """The nodes that are on a cycle, or between two; none if there is no cycle."""
    incoming = [0] * len(after)
    for targets in after:
        for target in targets:
            incoming[target] += 1
    free = [node for node, count in enumerate(incoming) if not count]
    taken = 0
    while free:  # each node once
        node = free.pop()
        taken += 1
        for target in after[node]:
            incoming[target] -= 1
            if not incoming[target]:
                free.append(target)
    if taken == len(after):
        return set()
    return _without_ends(after, {node for node, count in enumerate(incoming) if count})


def _without_ends(after: Sequence[Sequence[int]], rest: set[int]) -> set[int]:
    """What stays when nodes that nothing follows are taken away, again and again."""
    before: dict[int, list[int]] = {node: [] for node in rest}
    outgoing = dict.fromkeys(rest, 0)
    for node in rest:
        for target in after[node]:
            if target in rest:
                before[target].append(node)
                outgoing[node] += 1
    ends = [node for node, count in outgoing.items() if not count]
    while ends:  # each node once
        node = ends.pop()
        rest.discard(node)
        for source in before[node]:
            outgoing[source] -= 1
            if not outgoing[source]:
                ends.append(source)
    return rest


def shortest_cycle(after: Sequence[Sequence[int]], core: set[int]) -> list[int]:
    """The nodes of a cycle of two, or of the shortest that breadth-first searches from `MAX_STARTS` nodes find.

    Args:
        after: the graph.
        core: what `on_cycles` returned.
    """
    for node in sorted(core):
        for target in after[node]:
            if target in core and node in after[target]:
                return [node, target]
    best: list[int] = []
    for tried, start in enumerate(sorted(core)):
        if best and tried >= MAX_STARTS:
            break
        found = _cycle_from(after, core, start)
        if found and (not best or len(found) < len(best)):
            best = found
    return best


def _cycle_from(after: Sequence[Sequence[int]], core: set[int], start: int) -> list[int]:
    """The shortest cycle through a node; empty if it is on none."""
    came_from: dict[int, int] = {}
    waiting = deque([start])
    while waiting:  # each node once
        node = waiting.popleft()
        for target in after[node]:
            if target == start:
                path = [node]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                return path[::-1]
            if target in core and target not in came_from:
                came_from[target] = node
                waiting.append(target)
    return []


def _steps(graph: Graph, cycle: Sequence[int]) -> list[str]:
    """A sentence for each step from one transaction to the next; moments between two say `had returned`."""
    known = len(graph.names)
    named = [node for node in cycle if node < known]
    steps = []
    for at, node in enumerate(named):
        following = named[(at + 1) % len(named)]
        reason = graph.reasons.get((node, following)) if _are_neighbours(cycle, node, following) else None
        steps.append(f"{graph.names[node]} {reason or 'had returned'} before {graph.names[following]}")
    return steps


def _are_neighbours(cycle: Sequence[int], node: int, following: int) -> bool:
    at = cycle.index(node)
    return cycle[(at + 1) % len(cycle)] == following
