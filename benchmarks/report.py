"""From samples to tables, to ratios with their floors and goals, and to one JSON document."""

import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.harness import Pace, Sample, ratios
from benchmarks.target import SERVER_SETTINGS, BenchmarkDatabase

SCHEMA = "stockade.benchmark/1"


@dataclass(frozen=True, slots=True)
class Ratio:
    """orders/s of one arm over another's, and the goals for it."""

    arm: str
    over: str
    floor: float
    goal: float

    def of(self, samples: Sequence[Sample]) -> "Measured | None":
        """The ratio in every round; None where one of the arms did not run."""
        rounds = ratios(samples, self.arm, self.over)
        return Measured(self, tuple(rounds)) if rounds else None


@dataclass(frozen=True, slots=True)
class Measured:
    """A ratio with its rounds."""

    ratio: Ratio
    rounds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.rounds)

    @property
    def verdict(self) -> str:
        """`goal`, `floor`, or `missed`."""
        if self.median >= self.ratio.goal:
            return "goal"
        return "floor" if self.median >= self.ratio.floor else "missed"

    def as_json(self) -> dict[str, Any]:
        """The ratio as JSON values."""
        return {
            "arm": self.ratio.arm,
            "over": self.ratio.over,
            "rounds": self.rounds,
            "median": self.median,
            "low": min(self.rounds),
            "high": max(self.rounds),
            "floor": self.ratio.floor,
            "goal": self.ratio.goal,
            "verdict": self.verdict,
        }


HEAD = "| arm | callers | orders/s | p50 ms | p99 ms | client µs | server µs | orders per transaction |"
RATIO_HEAD = "| ratio | median [range] | floor | goal | verdict |"


def table(samples: Sequence[Sample]) -> str:
    """One row for each arm, medians over the rounds, as Markdown."""
    lines = [HEAD, "|---|--:|--:|--:|--:|--:|--:|--:|"]
    for arm in dict.fromkeys(sample.arm for sample in samples):
        of = [sample for sample in samples if sample.arm == arm]
        speeds = [sample.orders_s for sample in of]
        speed = f"{statistics.median(speeds):,.0f} ({min(speeds):,.0f}-{max(speeds):,.0f})"
        batch = [sample.notes["orders_per_transaction"] for sample in of if "orders_per_transaction" in sample.notes]
        cells = [
            arm,
            f"{of[0].callers:,}",
            speed,
            *(_cell([getattr(sample, name) for sample in of]) for name in ("p50_ms", "p99_ms")),
            *(_cell([getattr(sample, name) for sample in of]) for name in ("client_us", "server_us")),
            _cell(batch),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def ratio_table(measured: Sequence[Measured]) -> str:
    """One row for each ratio, as Markdown."""
    lines = [RATIO_HEAD, "|---|--:|--:|--:|---|"]
    for each in measured:
        span = f"{_short(each.median)} [{_short(min(each.rounds))}-{_short(max(each.rounds))}]"
        ratio = each.ratio
        lines.append(f"| {ratio.arm} ÷ {ratio.over} | {span} | {ratio.floor:g} | {ratio.goal:g} | {each.verdict} |")
    return "\n".join(lines)


def _cell(values: Sequence[float]) -> str:
    known = [value for value in values if value == value]  # noqa: PLR0124 - NaN is the one value that differs from itself
    return _short(statistics.median(known)) if known else ""


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def environment(targets: Sequence[BenchmarkDatabase], pace: Pace) -> dict[str, Any]:
    """What the figures depend on besides the code."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": sys.version,  # with its build
        "os": platform.platform(),
        "cpu_count": os.cpu_count(),
        "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1_000_000,
        "load_average": os.getloadavg(),
        "servers": {target.server.kind: _server(target) for target in targets},
        "users": targets[0].users,
        "rounds": pace.rounds,
        "warm_s": pace.warm_s,
        "measured_s": pace.measured_s,
        "packages": {name: version(name) for name in ("sqlalchemy", "asyncpg", "asyncmy", "uvloop", "msgspec")},
    }


def _server(target: BenchmarkDatabase) -> dict[str, Any]:
    found = target.database.dialect.sql.server_version_info or ()
    return {"version": ".".join(map(str, found)), "durable": True, "settings": SERVER_SETTINGS[target.server.kind]}


def write_json(path: Path, environment_: dict[str, Any], samples: Sequence[Sample], found: Sequence[Measured]) -> None:
    """One document with every sample."""
    document = {
        "schema": SCHEMA,
        "environment": environment_,
        "samples": [sample.as_json() for sample in samples],
        "ratios": [each.as_json() for each in found],
    }
    path.write_text(json.dumps(_without_nan(document), indent=1, ensure_ascii=False) + "\n")


def _without_nan(value: Any) -> Any:
    """JSON has no NaN: a figure that an arm does not measure is null."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and value != value else value  # noqa: PLR0124
