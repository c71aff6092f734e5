"""Reads the member `sweep` of a document back into values. Neighbours: `document.py` writes it.

`sweep_file.py` goes on from it, `stockade.lab.advice` draws conclusions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stockade.core import JsonValue
from stockade.lab.errors import LabError
from stockade.lab.history.history_file import SCHEMA
from stockade.lab.model.contender import Contender
from stockade.lab.sweeps.analysis.summary import PointResult, results_of
from stockade.lab.sweeps.axes import AXES, Point, Setting
from stockade.lab.sweeps.sample import Sample


@dataclass(frozen=True, slots=True)
class ReadSweep:
    """A sweep of a document.

    Attributes:
        environment: on what it was measured.
        settings: of the sweep.
        points: by id.
        samples: by the id of the point and the name of the contender.
        complexity: by the name of the contender.
        left_out: axes and strategies, with the reason.
        complete: whether every turn was played.
    """

    environment: Mapping[str, JsonValue]
    settings: Mapping[str, JsonValue]
    points: Mapping[str, Point]
    samples: Mapping[tuple[str, str], tuple[Sample, ...]]
    complexity: Mapping[str, Mapping[str, Any]]
    left_out: Mapping[str, str]
    complete: bool

    @property
    def results(self) -> list[PointResult]:
        """Everything that has samples.

        Raises:
            LabError: a strategy that does not exist.
        """
        names = dict.fromkeys(name for _, name in self.samples)
        return results_of(tuple(self.points.values()), [Contender.parse(name) for name in names], self.samples)


def read_sweep(document: Any) -> ReadSweep:
    """Read the member `sweep` of a document.

    Args:
        document: as JSON values.

    Raises:
        ValueError: it has none, or not of this schema; the message says what is wrong.
    """
    try:
        if document["schema"] != SCHEMA:
            raise ValueError(f"its schema is {document['schema']}, not {SCHEMA}")
        sweep = document["sweep"]
        points, samples = dict[str, Point](), dict[tuple[str, str], tuple[Sample, ...]]()
        for each in sweep["points"]:
            point = Point(str(each["axis"]), each["value"], Setting.from_json(each["setting"]))
            if point.axis not in AXES:
                raise ValueError(f"there is no axis {point.axis!r}")
            points[point.id] = point
            samples[point.id, str(each["strategy"])] = tuple(Sample.from_json(taken) for taken in each["samples"])
            Contender.parse(str(each["strategy"]))
        return ReadSweep(
            environment=dict(document["environment"]),
            settings=dict(sweep["settings"]),
            points=points,
            samples=samples,
            complexity={str(each["strategy"]): dict(each) for each in sweep["complexity"]},
            left_out=dict(sweep["left_out"]),
            complete=bool(sweep["complete"]),
        )
    except LabError as error:
        raise ValueError(str(error)) from error
    except KeyError as error:
        raise ValueError(f"it has no member {error}") from error
    except (TypeError, AttributeError) as error:
        raise ValueError(f"a member has another form: {error}") from error
