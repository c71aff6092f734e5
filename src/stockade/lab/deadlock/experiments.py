"""All experiments of the deadlock bench on one database. Neighbours: the other files of this folder, each one of them.

On a server named by URL nothing of the server is changed: MariaDB's and MySQL's detector can only be switched off for
the whole server, so what needs that is left out there, by name.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from stockade.core import JsonValue
from stockade.lab.deadlock import own_store, pool
from stockade.lab.deadlock.all_or_nothing import AllOrNothing
from stockade.lab.deadlock.arms import ARMS, CIRCLE, HOLD, MUTUAL, NEVER_S, PREEMPT, SHORT_WAIT_S, Arm
from stockade.lab.deadlock.crossing import Statement, cross
from stockade.lab.deadlock.duel import Duel, Rules, play
from stockade.lab.deadlock.finding import Finding
from stockade.lab.deadlock.load import Counts, Load, Turn, judge, take_turns, turn_of
from stockade.lab.deadlock.one_writer import two_writers
from stockade.lab.deadlock.rows import Rows, open_rows
from stockade.lab.deadlock.session import LOCK_WAIT_S, MissingPrivilege, all_of, open_session
from stockade.lab.deadlock.wait_graph import Observer, WaitGraph, open_observer
from stockade.lab.targets.target_database import TargetDatabase

CONNECTIONS = 48  # of all experiments at most, at the same time
PAIRS = 8  # of transactions that only a time-out ends, at the same time: each is a sample
LOAD_ROWS = 8
EARLY_S, LATE_S = 0.1, 1.0  # how much a time-out may come before and after its time; InnoDB counts whole seconds


@dataclass(frozen=True, slots=True)
class Setting:
    """What the bench is played with.

    Attributes:
        load: of the arms.
        lock_wait_s: the time-out of duels without a detector, in seconds.
        redis: URL of a server; empty: what needs one is left out.
        tell: hears what is being played.
    """

    load: Load = field(default_factory=Load)
    lock_wait_s: float = LOCK_WAIT_S
    redis: str = ""
    tell: Callable[[str], None] = lambda _what: None


@dataclass(slots=True)
class Results:
    """What the bench came to.

    Attributes:
        database: its kind.
        findings: one for each experiment.
        graphs: what the database said while transactions waited, by experiment.
        left_out: experiments that could not be played, and why.
    """

    database: str
    findings: list[Finding] = field(default_factory=list)
    graphs: dict[str, WaitGraph] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        """Whether every control failed as it must, and every cure held."""
        return bool(self.findings) and all(finding.held for finding in self.findings)

    def as_json(self) -> dict[str, JsonValue]:
        """The member `deadlock` of the document."""
        return {
            "database": self.database,
            "experiments": [finding.as_json() for finding in self.findings],
            "graphs": {name: graph.as_json() for name, graph in self.graphs.items()},
            "left_out": list(self.left_out),
        }


async def play_all(target: TargetDatabase, setting: Setting) -> Results:
    """Play everything that this database can play.

    Raises:
        LabError: an experiment could not be carried out.
    """
    result = Results(target.name)
    if target.name == "sqlite":
        _sqlite(target, result)
        return result
    async with (
        open_rows(target.url, target.name, PAIRS * 2) as rows,
        open_observer(target.url, target.name) as observer,
    ):
        setting.tell("two transactions, two rows")
        await _duels(target, rows, observer, result)
        setting.tell("one statement of several rows")
        await _crossings(target, rows, observer, result)
        setting.tell(f"two transactions that only a time-out of {setting.lock_wait_s:g} s ends")
        await _time_outs(target, rows, observer, setting, result)
        await _loads(target, replace(rows, count=LOAD_ROWS), setting, result)
    setting.tell("a pool of connections")
    result.findings += [await pool.second_connection(target.url), await pool.lock_first(target.url)]
    return result


def _sqlite(target: TargetDatabase, result: Results) -> None:
    result.findings += two_writers(Path(target.admin_database.url.database or ""))
    result.left_out.append("wait-for graphs, arms under load, the pool: nobody waits for a row in SQLite")


async def _duels(target: TargetDatabase, rows: Rows, observer: Observer, result: Results) -> None:
    watched = target.name == "postgres"  # InnoDB ends the deadlock before anybody can look
    for name, removed, rules, victims in (
        ("opposite order", "", Rules(watched=watched), 1),
        ("one order", CIRCLE, Rules(sorted=True), 0),
        ("optimistic, opposite order", f"{MUTUAL} (claimed)", Rules(optimistic=True, watched=watched), 1),
        ("optimistic, one order", f"{MUTUAL}, {CIRCLE}", Rules(optimistic=True, sorted=True), 0),
    ):
        duel = await play(target.url, rows, observer, (1, 2), rules)
        result.findings.append(_dueled(name, removed, duel, victims))
        if duel.graph is not None and duel.graph.waits:
            result.graphs[name] = duel.graph


def _dueled(name: str, removed: str, duel: Duel, victims: int) -> Finding:
    """Whether the right ones failed, and whether the database itself says that it was a deadlock, or was none."""
    found = sum(side.outcome == "deadlock" for side in duel.sides)
    figures: dict[str, JsonValue] = {"victims": found, "waited_s": [round(side.waited_s, 3) for side in duel.sides]}
    # a graph without waits is that of the monitor after another deadlock: it says nothing
    shown = duel.graph is None or not duel.graph.waits or duel.graph.circular is (victims > 0)
    return Finding(
        "two transactions",
        name,
        removed,
        "one is the victim, the other commits" if victims else "no deadlock",
        _ends(duel) if shown else f"{_ends(duel)}; who waits for whom is {'no' if victims else 'a'} circle",
        found == victims and duel.failed <= 1 and shown,
        figures,
    )


async def _crossings(target: TargetDatabase, rows: Rows, observer: Observer, result: Results) -> None:
    innodb = target.name != "postgres"
    cases = [
        ("found by two indexes", f"{HOLD} (claimed)", Statement(ordered=False, primary=False), 1),
        # InnoDB locks while it reads the other index, and sorts afterwards
        ("with ORDER BY the key", CIRCLE + " (claimed)" * innodb, Statement(ordered=True, primary=False), int(innodb)),
    ]
    if innodb:
        cases.append(("with ORDER BY, read by the key", CIRCLE, Statement(ordered=True, primary=True), 0))
    for name, removed, statement, victims in cases:
        found, seconds = await cross(target.url, rows, observer, statement)
        result.findings.append(
            Finding(
                "one statement",
                name,
                removed,
                "a deadlock" if victims else "no deadlock",
                f"{found} of 2 were victims",
                found == victims,
                {"victims": found, "seconds": round(seconds, 3)},
            )
        )


async def _time_outs(target: TargetDatabase, rows: Rows, observer: Observer, setting: Setting, result: Results) -> None:
    """Pairs that no detector ends: half of them wait from the same moment, half one after the other."""
    detector_s = NEVER_S if target.name == "postgres" else None
    usual = Rules(lock_wait_s=setting.lock_wait_s, detector_s=detector_s)
    try:
        async with _without_detector(target):
            duels = await all_of(
                play(target.url, rows, observer, (2 * n + 1, 2 * n + 2), replace(usual, staggered=n % 2 == 1))
                for n in range(PAIRS)
            )
    except MissingPrivilege as error:
        result.left_out.append(f"time-out without a detector: {error}")
        return
    for name, part in (("time-out only, at once", duels[::2]), ("time-out only, one after the other", duels[1::2])):
        result.findings.append(_timed_out(name, part, setting.lock_wait_s))
        graph = part[0].graph
        if graph is not None:
            result.graphs[name] = graph


def _timed_out(name: str, duels: Sequence[Duel], lock_wait_s: float) -> Finding:
    waited = sorted(side.waited_s for duel in duels for side in duel.sides if side.outcome == "timeout")
    both = sum(duel.failed == 2 for duel in duels)
    in_time = bool(waited) and lock_wait_s - EARLY_S <= waited[0] and waited[-1] <= max(1.0, lock_wait_s) + LATE_S
    figures: dict[str, JsonValue] = {
        "pairs": len(duels),
        "both_failed": both,
        "lock_wait_s": lock_wait_s,
        "waited_s": [round(each, 3) for each in waited],
    }
    said = (
        f"both failed in {both} of {len(duels)} pairs, after {waited[0]:.2f} to {waited[-1]:.2f} s" if waited else "-"
    )
    circles = all(duel.graph is not None and duel.graph.circular for duel in duels)
    if not circles:
        said += "; not every pair was seen to wait in a circle"
    every = circles and all(duel.failed >= 1 for duel in duels)
    expected = f"each pair waits in a circle and loses one side or both, after {lock_wait_s:g} s"
    return Finding("two transactions", name, PREEMPT, expected, said, every and in_time, figures)


async def _loads(target: TargetDatabase, rows: Rows, setting: Setting, result: Results) -> None:
    """Every way to take the rows, in turn: those in bare SQL, and orders through the store."""
    arms = [arm for arm in ARMS if target.name in arm.databases and (setting.redis or not arm.needs_redis)]
    if not setting.redis:
        result.left_out.append("all or nothing, Redis: no Redis server")
    if refusal := await _refusal(target):
        result.left_out += [f"{arm.name}: {refusal}" for arm in arms if not arm.detector]
        arms = [arm for arm in arms if arm.detector]
    expected = {arm.name: (arm.removed, arm.expected) for arm in arms}
    expected |= {name: (removed, must_be) for name, removed, must_be in own_store.WAYS}
    setting.tell(f"{setting.load.workers} workers: {', '.join(expected)}")
    async with AsyncExitStack() as stack:
        redis = None
        if setting.redis:
            redis = await stack.enter_async_context(AllOrNothing(setting.redis, f"stockade:lab:{rows.table}"))
        ways = {arm.name: _turn_of(target, rows, arm, setting.load, redis) for arm in arms}
        ways |= {name: own_store.turn_of(target, setting.load, name) for name, *_ in own_store.WAYS}
        counted = await take_turns(ways, setting.load)
    result.findings += [judge(name, *expected[name], counts) for name, counts in counted.items()]


def _turn_of(target: TargetDatabase, rows: Rows, arm: Arm, load: Load, redis: AllOrNothing | None) -> Turn:
    play_turn = turn_of(target.url, rows, arm, load, redis)
    if arm.detector:
        return play_turn

    async def without(seed: int, counts: Counts) -> None:
        async with _without_detector(target):
            await play_turn(seed, counts)

    return without


async def _refusal(target: TargetDatabase) -> str:
    """Why the detector cannot be switched off here; empty: it can be."""
    try:
        async with _without_detector(target):
            session = await open_session(target.url, detector_s=NEVER_S if target.name == "postgres" else None)
            await session.close()
    except MissingPrivilege as error:
        return str(error)
    return ""


@asynccontextmanager
async def _without_detector(target: TargetDatabase) -> AsyncIterator[None]:
    """Switch InnoDB's detector off on a private server; PostgreSQL's is a setting of each session.

    Raises:
        MissingPrivilege: the server was named by URL.
    """
    if target.name == "postgres":
        yield
        return
    if not target.private:
        raise MissingPrivilege(
            "the detector can be switched off for a whole server only, and this one was named by URL"
        )
    admin = await open_session(target.url, lock_wait_s=SHORT_WAIT_S)
    try:
        await admin.run("SET GLOBAL innodb_deadlock_detect = OFF")
        try:
            yield
        finally:
            await admin.run("SET GLOBAL innodb_deadlock_detect = ON")
    finally:
        await admin.close()


def _ends(duel: Duel) -> str:
    return ", ".join(
        f"{name} {side.outcome} after {side.waited_s:.2f} s" for name, side in zip("AB", duel.sides, strict=True)
    )
