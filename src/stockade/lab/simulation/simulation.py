"""One run of the simulator: a seed and settings make a history.

Neighbours: `settings.py` says what is played, `clients.py` plays it, the checkers of the lab judge the history.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from stockade.core import JsonValue
from stockade.lab.checkers.requests.unexpected import ERRORS
from stockade.lab.checkers.system.log_decided import LOG_DRAINED
from stockade.lab.history.final_state import Leftovers
from stockade.lab.history.history import History, Phases
from stockade.lab.history.operation import FaultEvent
from stockade.lab.simulation.clients import Clients
from stockade.lab.simulation.database.server import DatabaseServer
from stockade.lab.simulation.database.tables import Schema
from stockade.lab.simulation.final_reads import final_state
from stockade.lab.simulation.log.workers import WORKERS, Workers
from stockade.lab.simulation.service import Service
from stockade.lab.simulation.settings import LEASE_S, TOPIC, Settings
from stockade.lab.simulation.workload import Mix
from stockade.lab.simulation.world import START_S, Process, World, surroundings
from stockade.locks.testing.simulated_redis import SimNetwork, SimRedis
from stockade.shop.model.tables import metadata as shop_metadata
from stockade.store.schema.tables import DEFAULT
from stockade.strategies import registry

LIMIT_S = 300.0  # virtual: far more than all deadlines together
STOP_S = 30.0
REPLACED_S = 0.02  # a process that crashed is replaced after so long
EARLY_S = 0.03  # faults that happen once, happen within so long

SCHEMAS = tuple([Schema(table) for table in (*shop_metadata.sorted_tables, *DEFAULT.metadata.sorted_tables)])


class Stalled(AssertionError):
    """A run did not end: a client or the end of a process waits for ever."""


@dataclass
class Played:
    """A run that has ended.

    Attributes:
        history: to be judged.
        server: the database, for further questions.
        steps: events and callbacks that it took.
    """

    history: History
    server: DatabaseServer
    steps: int


class Simulation:
    """One run.

    Args:
        seed: of everything.
        settings: see `Settings`.
    """

    def __init__(self, seed: int, settings: Settings) -> None:
        self.seed, self.settings = seed, settings
        self.world = World(seed)
        self.contender = settings.parsed
        self.server = DatabaseServer(self.world, SCHEMAS, settings.faults.database)
        self.networks = [SimNetwork(SimRedis(), settings.faults.redis) for _ in range(self.contender.redis_servers)]
        self.mix = Mix(seed, stock=settings.stock, balance=settings.balance, later_steps=settings.later_steps)
        kafka = self.contender.needs_kafka
        self.workers = Workers(self.world, self.server, TOPIC, settings.faults.log) if kafka else None
        self.services: list[Service] = []
        self.clients = Clients(self.world, self.services, self.mix, settings)
        self.fault_log: list[FaultEvent] = []
        self._pauses = self._crashes = 0

    def play(self) -> Played:
        """Play it.

        Raises:
            Stalled: it did not end.
        """
        with surroundings(self.world), self.workers.library() if self.workers is not None else nullcontext():
            try:
                self._set_up()
                self._run(lambda: not self.clients.open, "a client", LIMIT_S)
                self._run(lambda: all(map(self._is_running, self.services)), "the replacement", STOP_S)
                healed = self.world.now
                self.world.at_step = lambda process: None
                if self.workers is not None:
                    self._run(self.workers.is_drained, "the log", LIMIT_S)
                self._stop()
                return self._played(healed)
            finally:
                self._discard()

    # -- the beginning -------------------------------------------------------------------------------------

    def _set_up(self) -> None:
        for table, record in self.mix.initial().values():
            into = self.server.tables[table]
            into.versions[(record["id"],)] = [(0, into.complete(record))]
        for number in range(self.settings.processes):
            self.services.append(self._start_service(f"p{number + 1}"))
        if self.workers is not None:
            for number in range(WORKERS):
                self.workers.start(f"w{number + 1}")
        self._run(lambda: all(map(self._is_running, self.services)), "the start", STOP_S)
        self.world.at_step = self._at_step
        for client in range(self.settings.clients):
            self.clients.start(client, self.settings.operations)
        self._plan_faults()

    def _start_service(self, name: str) -> Service:
        options = self.contender.options(self.settings.options)
        kind = registry.find(self.contender.strategy)
        service = Service(self.world.process(name), self.server, self.networks, kind, options)
        service.run(service.start(), lambda task: task.result())
        return service

    @staticmethod
    def _is_running(service: Service) -> bool:
        return service.strategy is not None and not service.process.loop.crashed

    def _run(self, done: Callable[[], bool], what: str, limit_s: float) -> None:
        self.world.run_until(done, limit_s)
        if not done():
            errors = "".join(f"; {place}: {error}" for place, error in self._errors())
            raise Stalled(f"{what} has not ended after {limit_s:.0f} virtual seconds{errors}")

    def _errors(self) -> list[tuple[str, str]]:
        """What processes did not handle, by their names; not of crashed ones, whose tasks stand where they were."""
        return [(each.name, error) for each in self._alive() for error in each.loop.unhandled()]

    def _alive(self) -> list[Process]:
        return [each for each in self.world.processes if not each.loop.crashed]

    # -- faults --------------------------------------------------------------------------------------------

    def _plan_faults(self) -> None:
        faults, rng = self.settings.faults, self.world.rng
        for network in self.networks[:1]:  # a minority
            if faults.failover:
                self.world.after(rng.random() * EARLY_S, lambda n=network: self._fail_over(n))  # type: ignore[misc]
            if faults.forget:
                self.world.after(rng.random() * EARLY_S, lambda n=network: self._forget(n))  # type: ignore[misc]

        if self.workers is not None:
            self._plan_faults_of_the_log(self.workers)

    def _plan_faults_of_the_log(self, workers: Workers) -> None:
        faults, rng = self.settings.faults, self.world.rng
        if faults.poison:
            workers.poison()
        if faults.rebalance:
            self.world.after(rng.random() * EARLY_S, lambda: workers.start("w3"))
            self.world.after(rng.random() * EARLY_S * 2, workers.stop_one)
        if faults.rewind:
            self.world.after(rng.random() * EARLY_S * 2, workers.rewind)

    def _at_step(self, process: Process) -> None:
        """Pause or crash a process that is about to send something."""
        faults, rng = self.settings.faults, self.world.rng
        self.clients.at_step()
        if faults.pause and self._pauses < faults.most_pauses and rng.random() < faults.pause:
            self._pauses += 1
            seconds = rng.uniform(0.5, 2.0) * LEASE_S
            self._log("pause", f"{process.name} for {seconds:.2f} s")
            process.pause(seconds)
        if faults.crash and self._crashes < faults.most_crashes and rng.random() < faults.crash:
            self._crashes += 1
            self.world.after(0.0, lambda: self._crash(process))

    def _crash(self, process: Process) -> None:
        self._log("crash", process.name)
        process.crash()
        self.world.after(REPLACED_S, lambda: self._replace(process))

    def _replace(self, process: Process) -> None:
        for number, service in enumerate(self.services):
            if service.process is process:
                self.services[number] = self._start_service(f"{process.name}'")
        if self.workers is not None:
            self.workers.replace(process)

    def _fail_over(self, network: SimNetwork) -> None:
        replica = network.server.snapshot()

        def promote() -> None:
            replica.now_ms = self.world.now * 1000
            network.server = replica
            self._log("failover", "the replica lacks the newest writes")

        self.world.after(self.world.rng.random() * EARLY_S, promote)

    def _forget(self, network: SimNetwork) -> None:
        network.server = SimRedis(self.world.now * 1000)
        self._log("restart", "a lock server without its data")

    def _log(self, fault: str, detail: str) -> None:
        self.fault_log.append(FaultEvent(round(self.world.now * 1e9), fault, "inject", detail))

    # -- the end -------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """Stop every service; what was asked for in the background ends within a lease."""
        left = len(self.services)

        def stopped(task: Any) -> None:
            nonlocal left
            left -= 1
            task.result()

        for each in self.services:
            each.run(each.stop(), stopped)
        self._run(lambda: not left, "the stop of a service", STOP_S)
        if self.workers is not None:
            self._run(self.workers.stop(), "the stop of a worker", STOP_S)
        self.world.run_until(lambda: False, LEASE_S * 2)

    def _played(self, healed: float) -> Played:
        settings = self.settings
        names = {"skus": "on_hand", "point_accounts": "balance"}
        initial = {key: record[names[table]] for key, (table, record) in self.mix.initial().items()}
        tasks = sum(not task.done() for each in self._alive() for task in each.loop.tasks)
        leftovers = Leftovers(
            before={"tasks": 0, "row locks": 0},
            after={"tasks": tasks, "row locks": self.server.places_held},
            keys_not_free=tuple(self._held_keys()),
        )
        extra: dict[str, JsonValue] = {ERRORS: [[name, f"did not handle {error}"] for name, error in self._errors()]}
        if self.workers is not None:
            extra[LOG_DRAINED] = True  # `play` waited for that
        final = replace(final_state(self.server, initial, leftovers), extra=extra)
        history = History(
            workload="mix",
            strategy=self.contender.name,
            database="simulated",
            faults=() if settings.storm == "calm" else (settings.storm,),
            seed=self.seed,
            settings={"processes": settings.processes, "clients": settings.clients, "operations": settings.operations},
            phases=Phases(
                warm_ns=round(START_S * 1e9),
                faults_ns=round(START_S * 1e9),
                healed_ns=round(healed * 1e9),
                final_ns=round(healed * 1e9),
                end_ns=round(self.world.now * 1e9),
            ),
            operations=tuple(sorted(self.clients.operations)),
            fault_log=tuple(self.fault_log),
            final=replace(final, log=self.workers.records()) if self.workers is not None else final,
        )
        return Played(history, self.server, self.world.steps)

    def _held_keys(self) -> list[str]:
        held = []
        for network in self.networks:
            network.server.now_ms = self.world.now * 1000
            held += [key for key in [*network.server.owners] if network.server.owner(key)]
        return sorted(held)

    def _discard(self) -> None:
        """End what is left of crashed processes and of a run that failed, so that nothing is left to the collector."""
        loops = [each.loop for each in self.world.processes]
        self.world.at_step = lambda process: None
        self.world.steps = 0
        for loop in loops:
            loop.crashed = loop.paused = False
            self.world.is_ready(loop)
            for task in loop.tasks:
                task.cancel()
        self._run(
            lambda: all(task.done() for loop in loops for task in loop.tasks), "a task that was cancelled", STOP_S
        )
        self.world.forget()


def play(seed: int, settings: Settings) -> Played:
    """Play one run.

    Args:
        seed: of everything: it replays the run.
        settings: see `Settings`.

    Raises:
        Stalled: the run did not end.
    """
    return Simulation(seed, settings).play()
