"""Labels beside the ends of lines, moved apart. Pure functions. Neighbour: `lines.py` draws them."""

from collections.abc import Sequence
from typing import Final

HEIGHT: Final = 13.0  # pixels of a line of text


def apart(places: Sequence[float], room: float, height: float = HEIGHT) -> list[float]:
    """Where labels stand, in the order given: as near to their places as they can without touching each other.

    Each label that touches the one above it joins its group, and a group stands around the mean of its places.

    Args:
        places: where each wants to be, in pixels from above.
        room: pixels that there are; where that is too little, they are nearer to each other.
        height: of a label.
    """
    if not places:
        return []
    height = min(height, room / len(places))
    order = sorted(range(len(places)), key=lambda at: places[at])
    groups: list[list[float]] = []  # the wanted places of the labels that touch
    tops: list[float] = []
    for at in order:
        groups.append([places[at]])
        tops.append(_top(groups[-1], height, room))
        while len(groups) > 1 and tops[-2] + len(groups[-2]) * height > tops[-1]:
            last = groups.pop()
            tops.pop()
            groups[-1] += last
            tops[-1] = _top(groups[-1], height, room)
    found = [0.0] * len(places)
    middles = [top + (n + 0.5) * height for group, top in zip(groups, tops, strict=True) for n in range(len(group))]
    for at, middle in zip(order, middles, strict=True):
        found[at] = middle
    return found


def _top(group: Sequence[float], height: float, room: float) -> float:
    middle = sum(group) / len(group)
    whole = len(group) * height
    return min(max(middle - whole / 2, 0.0), max(room - whole, 0.0))
