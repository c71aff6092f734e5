"""What one sweep is: the options as values. Neighbours: `axes.py` makes its points, `sweep.py` plays them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from stockade.core import JsonValue
from stockade.lab.errors import LabError
from stockade.lab.model.contender import Contender
from stockade.lab.sweeps.axes import AXES, STOCK, Point, Setting
from stockade.lab.targets.target_database import PRIVATE, SQLITE
from stockade.shop.application import PATH
from stockade.store.engine.registry import read_url

CONTROL: Final = "unprotected"
BURSTS: Final = 3  # of a turn, each with orders of its own: what disturbs one of them does not decide the round
TURN_S: Final = 2.5
LONGEST_TURN_S: Final = 600.0  # of a thorough sweep: no turn is cut short
LEAST_REPEATS: Final = 6  # so many samples give their median an interval of 95 %


Turn: TypeAlias = tuple[Point, Contender]


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """A sweep.

    Attributes:
        points: in the order of their axes.
        contenders: all that take part; the control is always there.
        database: `sqlite`, `postgres`, `mariadb`, or a URL.
        resource: `stock` or `points`: the rows that buyers share.
        repeats: rounds; in each one every point is played once under every strategy.
        wait_s: longest time that one command may wait, in seconds.
        turn_s: a turn that has taken so long plays no further burst, in seconds; a value needs one at least.
        workers: processes that decide under `kafka`.
        redis: URLs separated by commas; empty: private servers, where a strategy needs them.
        kafka: `host:port,…`; empty: a private broker, where a strategy needs it.
        app: where processes find the application, `MODULE:ATTRIBUTE`.
        left_out: axes and strategies that are not played, with the reason.
    """

    points: Sequence[Point]
    contenders: Sequence[Contender]
    database: str = "sqlite"
    resource: str = STOCK
    repeats: int = LEAST_REPEATS
    wait_s: float = 20.0
    turn_s: float = TURN_S
    workers: int = 1
    redis: str = ""
    kafka: str = ""
    app: str = PATH
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def turns(self) -> list[Turn]:
        """What one round plays, in order; points of one setting, such as `buyers=30` and `keys=1`, are one turn."""
        found = dict[tuple[Setting, str], Turn]()
        for point in self.points:
            for contender in self.contenders_of(point):
                found.setdefault((point.setting, contender.name), (point, contender))
        return list(found.values())

    @property
    def groups(self) -> list[list[Turn]]:
        """The same; those together for which a strategy is opened once."""
        found = dict[Setting, list[Turn]]()
        for point, contender in self.turns:
            found.setdefault(point.setting.opening, []).append((point, contender))
        return list(found.values())

    def contenders_of(self, point: Point) -> list[Contender]:
        """Who plays a point: on an axis that concerns some strategies only, those and the control."""
        axis = AXES[point.axis]
        return [
            each
            for each in self.contenders
            if not axis.strategies or each.name == CONTROL or each.strategy in axis.strategies
        ]

    @property
    def redis_servers(self) -> int:
        """How many independent Redis servers the strategies need."""
        return max((each.redis_servers for each in self.contenders), default=0)

    @property
    def needs_kafka(self) -> bool:
        """Whether a strategy needs a broker."""
        return any(each.needs_kafka for each in self.contenders)

    @property
    def connections(self) -> int:
        """How many connections to the database there may be at once, reads and registrations included."""
        workers = self.workers if self.needs_kafka else 0
        most = max((point.setting.pool * (point.setting.processes + workers) for point in self.points), default=4)
        return 2 * most + 40

    @property
    def settings(self) -> dict[str, JsonValue]:
        """What the samples of one file have in common."""
        return {
            "database": dialect_of(self.database),
            "resource": self.resource,
            "strategies": [each.name for each in self.contenders],
            "wait_s": self.wait_s,
            "turn_s": self.turn_s,
            "workers": self.workers,
        }


def dialect_of(database: str) -> str:
    """`sqlite`, `postgres`, `mariadb` or `mysql`.

    Args:
        database: one of these names, or a URL.

    Raises:
        LabError: it is neither.
    """
    if "://" not in database:
        if database not in (SQLITE, *PRIVATE):
            raise LabError(f"--database takes sqlite, postgres, mariadb or a URL, not {database!r}")
        return database
    try:
        name = read_url(database).url.get_backend_name()
    except ValueError as error:
        raise LabError(f"--database takes sqlite, postgres, mariadb or a URL: {error}") from error
    return "postgres" if name.startswith("postgres") else name
