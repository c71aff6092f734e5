"""Draws docs/pictures/*.svg from the texts below: `python -m tests.docs.pictures`.

Two kinds: `states` places boxes on a grid and draws arrows between them; `walk` draws messages between lifelines.
"""

from html import escape
from typing import NamedTuple

from tests.docs.site import ROOT

FOLDER = ROOT / "docs" / "pictures"
STYLE = """\
<style>
  .paper { fill: #ffffff } .box { fill: #eef3fb; stroke: #3b5b92 } .end { fill: #f3f3f3; stroke: #777777 }
  .line { stroke: #44536b; fill: none } .life { stroke: #b6bfcc; stroke-dasharray: 4 4 } .head { fill: #44536b }
  text { font: 14px system-ui, sans-serif; fill: #1c2530 } .small { font-size: 12.5px } .name { font-weight: 600 }
  .halo { stroke: #ffffff; stroke-width: 6px; stroke-linejoin: round }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #1b222c } .box { fill: #26354d; stroke: #8fb0e6 } .end { fill: #2b2f36; stroke: #9a9a9a }
    .line { stroke: #b4c0d0 } .head { fill: #b4c0d0 } .life { stroke: #55606f } text { fill: #e6ebf2 }
    .halo { stroke: #1b222c }
  }
</style>"""
ARROW = '<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
ARROW += '<path class="head" d="M0 0L10 5L0 10z"/></marker></defs>'
BOX_W, BOX_H, STEP_X, STEP_Y, EDGE = 150, 44, 270, 120, 24


class State(NamedTuple):
    """A box at a column and a row of the grid; `final`: nothing leaves it."""

    name: str
    column: float
    row: float
    final: bool = False


class Arrow(NamedTuple):
    """From one state to another; `shift` moves its label (pixels)."""

    start: str
    end: str
    label: str
    shift: tuple[int, int] = (0, 0)


class Message(NamedTuple):
    """From one lifeline to another; to itself: something that it does alone."""

    start: str
    end: str
    label: str


ORDER = (
    "The states of an order",
    [
        State("place an order", 0, 2),
        State("EXPIRED", 1, 0, final=True),
        State("RESERVED", 1, 1),
        State("REJECTED", 1, 3, final=True),
        State("PAYING", 2, 1),
        State("CANCELLED", 3, 0, final=True),
        State("PAID", 3, 2),
    ],
    [
        Arrow("place an order", "RESERVED", "pay: LATER", (0, 0)),
        Arrow("place an order", "PAID", "pay: POINTS", (-60, 0)),
        Arrow("place an order", "REJECTED", "refused", (0, 8)),
        Arrow("RESERVED", "EXPIRED", "time is over", (0, 0)),
        Arrow("RESERVED", "PAYING", "a gateway is asked"),
        Arrow("PAYING", "RESERVED", "declined", (0, 22)),
        Arrow("RESERVED", "PAID", "pay with points", (-10, 22)),
        Arrow("PAYING", "PAID", "approved", (34, 0)),
        Arrow("RESERVED", "CANCELLED", "cancel", (-10, 6)),
        Arrow("PAYING", "CANCELLED", "cancel", (24, 10)),
        Arrow("PAID", "CANCELLED", "cancel", (0, 0)),
    ],
)

PAYMENT = (
    "The states of an attempt to pay",
    [
        State("claim", 0, 1),
        State("APPROVING", 1, 1),
        State("UNKNOWN", 2, 1),
        State("APPROVED", 3, 0),
        State("DECLINED", 3, 1, final=True),
        State("UNFULFILLABLE", 3, 2, final=True),
        State("CANCELLED", 4, 0, final=True),
    ],
    [
        Arrow("claim", "APPROVING", "commit"),
        Arrow("APPROVING", "UNKNOWN", "no answer"),
        Arrow("APPROVING", "APPROVED", "approved", (-60, -6)),
        Arrow("UNKNOWN", "APPROVED", "looked up", (-10, 14)),
        Arrow("UNKNOWN", "DECLINED", "declined"),
        Arrow("UNKNOWN", "UNFULFILLABLE", "too late: refund", (-20, 8)),
        Arrow("APPROVED", "CANCELLED", "cancel: refund"),
    ],
)

LEASE = (
    "The life of a lease",
    [
        State("requested", 0, 0),
        State("waiting", 0, 1),
        State("withdrawn", 0, 2, final=True),
        State("held", 1.2, 1),
        State("lost", 2.4, 0, final=True),
        State("released", 2.4, 1, final=True),
        State("detached", 1.2, 2),
    ],
    [
        Arrow("requested", "waiting", "taken by another holder", (4, 0)),
        Arrow("requested", "held", "free: granted", (0, 0)),
        Arrow("waiting", "held", "granted in turn"),
        Arrow("waiting", "withdrawn", "time over, cancelled", (4, 0)),
        Arrow("held", "held", "renewed", (0, 0)),
        Arrow("held", "lost", "ended or broken", (20, 0)),
        Arrow("held", "released", "release"),
        Arrow("held", "detached", "detach", (30, 10)),
        Arrow("detached", "held", "adopt, elsewhere", (-60, 10)),
    ],
)

WALK = (
    "The walk of an order",
    ["client", "HTTP layer", "strategy", "store", "database"],
    [
        Message("client", "HTTP layer", "POST /v1/orders + Idempotency-Key"),
        Message("HTTP layer", "HTTP layer", "authenticate, parse: a PlaceOrder command"),
        Message("HTTP layer", "strategy", "execute(command)"),
        Message("strategy", "strategy", "wait: nowhere, in a queue, at a lock"),
        Message("strategy", "store", "transact(commands, guard)"),
        Message("store", "database", "BEGIN; read the rows in key order"),
        Message("store", "store", "decide: pure, in order, no I/O"),
        Message("store", "database", "write request, order, ledger, outbox, rows"),
        Message("store", "database", "COMMIT"),
        Message("store", "strategy", "an outcome for each command"),
        Message("strategy", "HTTP layer", "Accepted, Rejected, or an error"),
        Message("HTTP layer", "client", "201 or 202; 409, 404, 400; 429, 503, 504"),
    ],
)


def states(title, boxes, arrows):
    """A picture of states and the ways between them."""
    width = int(max(box.column for box in boxes) * STEP_X + BOX_W + 2 * EDGE)
    height = int(max(box.row for box in boxes) * STEP_Y + BOX_H + 2 * EDGE + 20)
    at = {box.name: (EDGE + box.column * STEP_X, EDGE + 20 + box.row * STEP_Y) for box in boxes}
    parts = [_arrow(at, arrow) for arrow in arrows]
    for box in boxes:
        x, y = at[box.name]
        kind = "end" if box.final else "box"
        parts.append(f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{BOX_W}" height="{BOX_H}" rx="8"/>')
        parts.append(_text(x + BOX_W / 2, y + BOX_H / 2 + 5, box.name, "name"))
    parts += [_text(*place, label, "small") for place, label in (_label(at, arrow) for arrow in arrows)]
    return _svg(title, width, height, parts)


def walk(title, actors, messages):
    """A picture of messages between lifelines, from top to bottom."""
    step_x, step_y, top = 260, 46, 70
    x = {name: EDGE + 70 + n * step_x for n, name in enumerate(actors)}
    width, height = EDGE * 2 + 140 + step_x * (len(actors) - 1), top + step_y * (len(messages) + 1)
    parts = []
    for name in actors:
        parts.append(f'<path class="life" d="M{x[name]} {top - 18}V{height - 16}"/>')
        parts.append(f'<rect class="box" x="{x[name] - 65}" y="16" width="130" height="36" rx="8"/>')
        parts.append(_text(x[name], 39, name, "name"))
    for n, each in enumerate(messages):
        y = top + step_y * (n + 1) - 10
        if each.start == each.end:
            parts.append(f'<rect class="box" x="{x[each.start] - 5}" y="{y - 22}" width="10" height="28" rx="3"/>')
            parts.append(_text(x[each.start] + 14, y - 3, each.label, "small", anchor="start"))
            continue
        parts.append(f'<path class="line" marker-end="url(#arrow)" d="M{x[each.start]} {y}H{x[each.end]}"/>')
        parts.append(_text((x[each.start] + x[each.end]) / 2, y - 7, each.label, "small"))
    return _svg(title, width, height, parts)


def _border(at, name, toward):
    """Where a line from the middle of a box toward a point leaves the box."""
    x, y = at[name][0] + BOX_W / 2, at[name][1] + BOX_H / 2
    dx, dy = toward[0] - x, toward[1] - y
    scale = min(BOX_W / 2 / abs(dx) if dx else 9e9, BOX_H / 2 / abs(dy) if dy else 9e9)
    return x + dx * scale, y + dy * scale


def _ends(at, arrow):
    """Both ends of an arrow; two that lead there and back stand beside each other."""
    middle = {name: (at[name][0] + BOX_W / 2, at[name][1] + BOX_H / 2) for name in (arrow.start, arrow.end)}
    (x1, y1), (x2, y2) = _border(at, arrow.start, middle[arrow.end]), _border(at, arrow.end, middle[arrow.start])
    if {arrow.start, arrow.end} == {"held", "detached"}:
        x1, x2 = (x1 + 14, x2 + 14) if y2 > y1 else (x1 - 14, x2 - 14)
    return x1, y1, x2, y2


def _arrow(at, arrow):
    if arrow.start == arrow.end:
        x, y = at[arrow.start]
        loop = f"M{x + 50:g} {y:g}c-10 -42 60 -42 50 0"
        return f'<path class="line" marker-end="url(#arrow)" d="{loop}"/>'
    x1, y1, x2, y2 = _ends(at, arrow)
    return f'<path class="line" marker-end="url(#arrow)" d="M{x1:.0f} {y1:.0f}L{x2:.0f} {y2:.0f}"/>'


def _label(at, arrow):
    dx, dy = arrow.shift
    if arrow.start == arrow.end:
        x, y = at[arrow.start]
        return (x + BOX_W / 2 + dx, y - 38 + dy), arrow.label
    x1, y1, x2, y2 = _ends(at, arrow)
    return ((x1 + x2) / 2 + dx, (y1 + y2) / 2 - 6 + dy), arrow.label


def _text(x, y, text, kind, anchor="middle"):
    place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}"'
    halo = f'<text class="{kind} halo" {place}>{escape(text)}</text>' if kind == "small" else ""
    return f'{halo}<text class="{kind}" {place}>{escape(text)}</text>'


def _svg(title, width, height, parts):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{title}">'
    paper = f'<rect class="paper" width="{width}" height="{height}" rx="10"/>'
    return "\n".join([head, f"<title>{title}</title>", STYLE, ARROW, paper, *parts, "</svg>"]) + "\n"


def drawn():
    """Every picture by its file name."""
    return {
        "order-states.svg": states(*ORDER),
        "payment-states.svg": states(*PAYMENT),
        "lease-life.svg": states(*LEASE),
        "order-walk.svg": walk(*WALK),
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in drawn().items():
        (FOLDER / name).write_text(text)
