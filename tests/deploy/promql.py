"""Reads PromQL with a parser, and says what is wrong with an expression over the metrics that a service really exports.

The parser (promql-parser) knows the grammar, the functions and their types. Here stands what it cannot know: which
metrics, labels and values exist, which of them are counters, and which figures every process repeats.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import promql_parser as promql

TARGET = {"job", "instance"}  # Prometheus adds them to every sample; a label of that name becomes exported_…
OF_COUNTERS = {"rate", "irate", "increase", "resets"}
OF_GAUGES = {"delta", "idelta", "deriv", "predict_linear"}
SAME_FOR_ALL = {"max", "min", "avg", "count"}  # aggregations that do not add up the same figure


class Metric(NamedTuple):
    """What is known of a series: `kind` is counter, gauge, or histogram for its buckets; `labels` with their values,
    None where any value may be; `shared`: every process shows the same figure."""

    kind: str
    labels: dict[str, frozenset[str] | None]
    shared: bool = False


class Use(NamedTuple):
    """A selector in an expression: the series, its matchers, and the calls, aggregations and operators around it."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]
    around: tuple[Any, ...]


def parsed(expression: str) -> Any:
    """The tree of an expression, with Grafana's variables filled in."""
    filled = re.sub(r"\$__(rate_interval|range|interval)\b", "5m", expression)
    return promql.parse(re.sub(r"\$\w+", "any", filled))


def children(node: Any) -> list[Any]:
    """The expressions inside a node."""
    if isinstance(node, promql.BinaryExpr):
        return [node.lhs, node.rhs]
    if isinstance(node, promql.Call):
        return list(node.args)
    if isinstance(node, promql.AggregateExpr):
        return [node.expr, *([node.param] if node.param is not None else [])]
    if isinstance(node, promql.MatrixSelector):
        return [node.vector_selector]
    inner = getattr(node, "expr", None)
    return [] if inner is None else [inner]


def uses(node: Any, around: tuple[Any, ...] = ()) -> Iterator[Use]:
    """Every selector below a node."""
    if isinstance(node, promql.VectorSelector):
        found = tuple((m.name, str(m.op).removeprefix("MatchOp."), m.value) for m in node.matchers.matchers)
        yield Use(node.name or "", found, around)
    for child in children(node):
        yield from uses(child, (*around, node))


def nodes(node: Any) -> Iterator[Any]:
    """A node and all below it."""
    yield node
    for child in children(node):
        yield from nodes(child)


def complaints(expression: str, known: dict[str, Metric]) -> Iterator[str]:
    """What is wrong with an expression; nothing where it is right."""
    try:
        tree = parsed(expression)
    except ValueError as error:
        yield f"cannot be parsed: {error}"
        return
    for use in uses(tree):
        metric = known.get(use.name)
        if metric is None:
            yield f"no metric {use.name}"
            continue
        yield from _matchers(use, metric)
        yield from _kind(use, metric)
        yield from _grouping(use, metric)
    for node in nodes(tree):
        if isinstance(node, promql.BinaryExpr):
            yield from _sides(node)


def selected(matcher: tuple[str, str, str], values: frozenset[str]) -> frozenset[str]:
    """Those of some values that a matcher lets through."""
    _, op, wanted = matcher
    pattern = wanted if op in ("Re", "NotRe") else re.escape(wanted)
    hits = {value for value in values if re.fullmatch(pattern, value)}
    return frozenset(hits if op in ("Equal", "Re") else values - hits)


def _matchers(use: Use, metric: Metric) -> Iterator[str]:
    for name, op, wanted in use.matchers:
        values = metric.labels.get(name)
        if name in TARGET:
            continue
        if name not in metric.labels:
            yield f"{use.name} has no label {name}"
        elif values is not None:
            parts = wanted.split("|") if op in ("Re", "NotRe") else [wanted]
            for part in parts:  # each alternative has to be one that occurs
                if not any(re.fullmatch(part, value) if op in ("Re", "NotRe") else part == value for value in values):
                    yield f"{use.name}: {name} is never {part}"


def _kind(use: Use, metric: Metric) -> Iterator[str]:
    calls = {each.func.name for each in use.around if isinstance(each, promql.Call)}
    ranged = {each.func.name for each in use.around[-2:] if isinstance(each, promql.Call)}
    if metric.kind == "gauge" and ranged & OF_COUNTERS:
        yield f"{use.name} is a gauge: no {'/'.join(ranged & OF_COUNTERS)}"
    if metric.kind != "gauge" and ranged & OF_GAUGES:
        yield f"{use.name} is a counter: no {'/'.join(ranged & OF_GAUGES)}"
    new = any(isinstance(each, promql.BinaryExpr) and str(each.op) == "unless" for each in use.around)
    if metric.kind != "gauge" and not ranged & OF_COUNTERS and not new:  # `x unless x offset …`: a series that is new
        yield f"{use.name} is a counter: take its rate or increase"
    if metric.kind == "histogram" and "histogram_quantile" not in calls:
        yield f"{use.name} has buckets: take a histogram_quantile"
    if metric.kind != "histogram" and "histogram_quantile" in calls:
        yield f"{use.name} has no buckets"


def _grouping(use: Use, metric: Metric) -> Iterator[str]:
    there = {*metric.labels, *TARGET}
    around = [each for each in use.around if isinstance(each, promql.AggregateExpr)]
    for each in around:
        if each.modifier is not None and (missing := set(each.modifier.labels) - there):
            yield f"{use.name} has no label {', '.join(sorted(missing))} to group by"
    if metric.kind == "histogram" and not any("le" in each.modifier.labels for each in around if each.modifier):
        yield f"{use.name}: a quantile needs sum by (le)"
    if metric.shared and not (around and str(around[-1].op) in SAME_FOR_ALL):
        yield f"{use.name} is the same in every process: take its max first"


def _sides(node: Any) -> Iterator[str]:
    """Two vectors match by all their labels, so `x{event="a"} > x{event="b"}` never has a result."""
    matching = node.modifier.matching if node.modifier is not None else None
    if str(node.op) == "or" or matching is not None:
        return
    left, right = _fixed(node.lhs), _fixed(node.rhs)
    for name in left.keys() & right.keys():
        if left[name] != right[name]:
            yield f"no result: {name} is {left[name]} on one side and {right[name]} on the other"


def _fixed(node: Any) -> dict[str, str]:
    """Labels of the result that can have one value only."""
    if isinstance(node, promql.VectorSelector):
        return {m.name: m.value for m in node.matchers.matchers if str(m.op) == "MatchOp.Equal"}
    inner: dict[str, str] = {}
    for child in children(node):
        inner = {**_fixed(child), **inner}
    if isinstance(node, promql.AggregateExpr):
        kept = set(node.modifier.labels) if node.modifier is not None else set()
        return {name: value for name, value in inner.items() if name in kept}
    return inner
