"""What a sweep changes: its axes, the usual setting, and the points of a sweep. Values and pure functions.

Each point changes one axis and leaves all others as usual. Neighbours: `playing/` makes the orders of a setting and
plays them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Final

from stockade.core import JsonValue
from stockade.lab.errors import LabError

STOCK, POINTS = "stock", "points"
RESOURCES: Final = (STOCK, POINTS)
NO_SERVER: Final = "needs a private server: --database postgres or mariadb"


@dataclass(frozen=True, slots=True)
class Setting:
    """One load on servers of one kind.

    Attributes:
        buyers: commands that are sent at once.
        keys: rows that they share: products, or accounts.
        section: how long each transaction takes between reading and writing, in milliseconds.
        pool: connections of each process.
        processes: that take orders.
        partitions: of the topic, under `kafka`.
        skew: exponent of Zipf's law by which buyers choose among the keys; 0: evenly.
        latency: by how much later the answer of the database comes, in milliseconds.
        has_section: the store has fault points, so it never writes a batch as a single statement.
        has_link: a TCP proxy is before the database.
    """

    buyers: int = 30
    keys: int = 1
    section: float = 0.0
    pool: int = 4
    processes: int = 1
    partitions: int = 3
    skew: float = 0.0
    latency: float = 0.0
    has_section: bool = False
    has_link: bool = False

    @property
    def opening(self) -> "Setting":
        """What a strategy is opened with. Settings that differ in the orders only, or in how late answers are, have the
        same one.
        """
        return replace(self, buyers=0, keys=0, skew=0.0, latency=0.0)

    def as_json(self) -> dict[str, JsonValue]:
        """Its members by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, JsonValue]) -> "Setting":
        """Read what `as_json` wrote.

        Raises:
            TypeError: it is none.
        """
        return cls(**values)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Axis:
    """What one option changes.

    Attributes:
        name: of the option, and of a member of `Setting`.
        unit: of its values, for tables.
        values: that a sweep without options plays: enough to see where an order flips, in minutes.
        more: between them, that a thorough sweep plays too.
        least: the smallest value.
        most: the largest.
        whole: values are whole numbers.
        base: the rest of the setting while this axis changes; members that the user did not choose.
        strategies: the only ones on which the axis has an effect, besides the control; none: all.
        servers: it needs a private server; a file of SQLite has no such thing.
    """

    name: str
    unit: str
    values: tuple[float, ...]
    more: tuple[float, ...]
    least: float
    most: float
    whole: bool = True
    base: Mapping[str, float | bool] = field(default_factory=dict)
    strategies: tuple[str, ...] = ()
    servers: bool = False

    def values_of(self, *, thorough: bool) -> tuple[float, ...]:
        """The values of a sweep without options for this axis, ascending."""
        return tuple(sorted({*self.values, *self.more})) if thorough else self.values


AXES: Final[Mapping[str, Axis]] = {
    each.name: each
    for each in (
        Axis("buyers", "buyers", (5, 30, 120), (15, 60), 1, 2_000),
        Axis("keys", "rows", (1, 10, 30), (3,), 1, 1_000),
        Axis("section", "ms", (0, 10), (2,), 0, 1_000, whole=False, base={"has_section": True}),
        Axis("pool", "connections", (4, 16), (2,), 1, 200),
        Axis("processes", "processes", (1, 4), (2,), 1, 16),
        Axis("skew", "exponent", (0, 2), (1,), 0, 5, whole=False, base={"keys": 30}),
        Axis("latency", "ms", (0, 2), (1, 5), 0, 1_000, whole=False, base={"has_link": True}, servers=True),
        Axis("partitions", "partitions", (1, 6), (3,), 1, 64, base={"keys": 12}, strategies=("kafka",)),
    )
}


@dataclass(frozen=True, slots=True)
class Point:
    """A value of an axis, with the whole setting."""

    axis: str
    value: float
    setting: Setting

    @property
    def id(self) -> str:
        """Its name in the file and in reports, e.g. `buyers=30`."""
        return f"{self.axis}={self.value:g}"


def read_values(axis: Axis, text: str) -> tuple[float, ...]:
    """The values that an option names, ascending.

    Args:
        axis: of the option.
        text: numbers separated by commas.

    Raises:
        LabError: what is no number, or not in the range.
    """
    found = set[float]()
    for word in (each.strip() for each in text.split(",") if each.strip()):
        try:
            value = float(word)
        except ValueError:
            value = float("nan")
        if not axis.least <= value <= axis.most or (axis.whole and value != int(value)):
            kind = "whole numbers" if axis.whole else "numbers"
            raise LabError(f"--{axis.name} takes {kind} from {axis.least:g} to {axis.most:g}, not {word!r}")
        found.add(int(value) if axis.whole else value)
    return tuple(sorted(found))


def points_of(
    chosen: Mapping[str, Sequence[float]], database: str, *, thorough: bool = False
) -> tuple[list[Point], dict[str, str]]:
    """The points of a sweep, and the axes that are left out with the reason.

    Args:
        chosen: by axis the values that the user gave: one is of every point, several are swept. If none has several,
            every axis without a value is swept over its own values.
        database: `sqlite`, `postgres` or `mariadb`, or a URL.
        thorough: those values are all that an axis has.
    """
    usual = Setting(**{name: values[0] for name, values in chosen.items() if len(values) == 1})  # type: ignore[arg-type]
    swept = {name: tuple(values) for name, values in chosen.items() if len(values) > 1}
    if not swept:
        swept = {name: axis.values_of(thorough=thorough) for name, axis in AXES.items() if name not in chosen}
    points, left_out = list[Point](), dict[str, str]()
    for name, axis in AXES.items():
        if name not in swept:
            continue
        if axis.servers and database not in ("postgres", "mariadb"):
            left_out[name] = NO_SERVER
            continue
        base = replace(usual, **{what: value for what, value in axis.base.items() if what not in chosen})  # type: ignore[arg-type]
        if usual.section and name != "section":
            base = replace(base, has_section=True)
        if usual.latency and name != "latency":
            base = replace(base, has_link=True)
        points += [
            Point(name, value, replace(base, **{name: value}))  # type: ignore[arg-type]
            for value in swept[name]
        ]
    return points, left_out
