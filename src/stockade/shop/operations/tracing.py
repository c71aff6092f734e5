"""OpenTelemetry spans of an order: its request, the command, the transaction, and across Kafka the worker's part.

Off by default. Then no object of this module exists, nothing of OpenTelemetry is imported, and no request takes another
path. With the setting `tracing` the bootstrap makes a `TracedShop` and a `TracedStore`, and HTTP wraps its handlers.
Only the API of OpenTelemetry is used: the application, or `opentelemetry-instrument`, chooses where spans go.

A batch holds commands of many traces, and a span has one parent. So its transaction is a child of its first command,
with links to the others, and the spans of the others have a link to it.

Neighbours: `bootstrap` and `http.routing.app` use it; `kafka.message.ContextCarrier` is how a trace crosses Kafka;
`locks.telemetry` makes the spans of locks.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stockade import __version__
from stockade.core import Accepted, Command, CommandResult, Guard, OffsetCommit, Outcome, Pending
from stockade.locks.telemetry import trace as trace_locks
from stockade.shop.config.settings import BadSetting, Settings
from stockade.shop.shop import Shop
from stockade.store import SqlStore
from stockade.strategies.in_process import InProcess
from stockade.strategies.lock_based import LockBased

if TYPE_CHECKING:  # a worker answers no request
    from starlette.types import Receive, Scope

    from stockade.shop.http.responses.response import Handler, Response

MAX_LINKS = 128  # of one span: the SDK keeps no more by default
MAX_OPEN = 20_000  # spans of commands in flight in one process; beyond it the oldest end without an outcome
_SERVER_ERROR = 500


class Tracing:
    """Makes the spans of one process, and carries traces through Kafka (see `kafka.message.ContextCarrier`).

    Args:
        tracer: of OpenTelemetry; default: that of `stockade`.

    Raises:
        ImportError: opentelemetry-api is not installed.
    """

    def __init__(self, tracer: Any = None) -> None:
        from opentelemetry import propagate, trace

        self._api: Any = trace
        self._propagate: Any = propagate
        self._tracer: Any = tracer or trace.get_tracer("stockade", __version__)
        self._commands: OrderedDict[str, Any] = OrderedDict()  # request id -> the span of its command in this process

    def request(self, route: str, answer: "Handler") -> "Handler":
        """A handler of HTTP requests that makes a span of each, in the trace of the caller (W3C Trace Context).

        Args:
            route: its method and path template; the path itself may name a user.
            answer: the handler.
        """
        method, _, path = route.partition(" ")
        attributes = {"http.request.method": method, "http.route": path}
        kind = self._api.SpanKind.SERVER

        async def traced(scope: "Scope", receive: "Receive") -> "Response":
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            context = self._propagate.extract(headers)
            with self._tracer.start_as_current_span(route, context, kind=kind, attributes=attributes) as span:
                response = await answer(scope, receive)
                span.set_attribute("http.response.status_code", response.status)
                if response.status >= _SERVER_ERROR:
                    span.set_status(self._api.StatusCode.ERROR)
                return response

        return traced

    @contextmanager
    def command(self, command: Command, strategy: str) -> Iterator[Callable[[str], None]]:
        """The span of a command under its strategy; call what is yielded with the outcome."""
        attributes = {"stockade.strategy": strategy, "stockade.request_id": command.request_id}
        # an error is recorded by its code: its text may name hosts, statements and users
        with self._tracer.start_as_current_span(
            f"command {command.name}", attributes=attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            self._open(command.request_id, span)
            try:
                yield lambda outcome: span.set_attribute("stockade.outcome", outcome)
            except Exception as error:
                span.set_attribute("stockade.outcome", getattr(error, "code", "INTERNAL_ERROR"))
                if not isinstance(error, Pending):
                    span.set_status(self._api.StatusCode.ERROR)
                raise
            finally:
                self._commands.pop(command.request_id, None)

    @contextmanager
    def transaction(self, commands: Sequence[Command], guard: Guard) -> Iterator[None]:
        """The span of one call of `SqlStore.transact`."""
        spans = [span for each in commands if (span := self._commands.get(each.request_id)) is not None]
        first, others = (spans[0], spans[1 : MAX_LINKS + 1]) if spans else (None, [])
        context = None if first is None else self._api.set_span_in_context(first)
        links = [self._api.Link(each.get_span_context()) for each in others]
        attributes = {"stockade.commands": len(commands), "stockade.guard": guard.kind.value}
        # not recorded: a driver's error has the parameters of its statement in its text
        with self._tracer.start_as_current_span(
            "transaction",
            context,
            attributes=attributes,
            links=links,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            for each in others:
                each.add_link(span.get_span_context())
            try:
                yield
            except Exception as error:
                span.set_attribute("stockade.outcome", getattr(error, "code", "INTERNAL_ERROR"))
                span.set_status(self._api.StatusCode.ERROR)
                raise

    def headers(self, command: Command) -> Mapping[str, bytes]:
        """The headers of the command's message: the trace that is current where it is written."""
        carrier: dict[str, str] = {}
        self._propagate.inject(carrier)
        return {name: value.encode() for name, value in carrier.items()}

    def received(self, command: Command, headers: Mapping[str, bytes]) -> None:
        """Begin the span of a command that a worker has read; one that it had read before, and not decided, ends."""
        context = self._propagate.extract({name: value.decode("latin-1") for name, value in headers.items()})
        attributes = {"stockade.request_id": command.request_id, "messaging.system": "kafka"}
        kind = self._api.SpanKind.CONSUMER
        span = self._tracer.start_span(f"process {command.name}", context, kind=kind, attributes=attributes)
        before = self._commands.pop(command.request_id, None)
        if before is not None:
            before.end()
        self._open(command.request_id, span)

    def decided(self, commands: Sequence[Command], answers: Sequence[CommandResult]) -> None:
        """End the spans that `received` began, of commands that have an outcome. Others are tried again."""
        for command, answer in zip(commands, answers, strict=True):
            span = None if isinstance(answer, Exception) else self._commands.pop(command.request_id, None)
            if span is not None and not isinstance(answer, Exception):
                span.set_attribute("stockade.outcome", outcome_of(answer))
                span.end()

    def locks(self, strategy: object) -> None:
        """Make spans of the locks of a strategy that has some; it must have been started."""
        if isinstance(strategy, LockBased | InProcess) and strategy.locks is not None:
            trace_locks(strategy.locks, self._tracer)

    def _open(self, request_id: str, span: Any) -> None:
        self._commands[request_id] = span
        if len(self._commands) > MAX_OPEN:
            _, oldest = self._commands.popitem(last=False)
            oldest.end()


class TracedShop(Shop):
    """A shop whose commands are spans."""

    async def execute(self, command: Command) -> Outcome:
        """See `Shop.execute`."""
        assert self.tracing is not None
        with self.tracing.command(command, self.strategy_of(command).name) as ended:
            outcome = await super().execute(command)
            ended(outcome_of(outcome))
            return outcome

    async def submit(self, command: Command) -> bool:
        """See `Shop.submit`."""
        assert self.tracing is not None
        with self.tracing.command(command, self.strategy_of(command).name) as ended:
            queued = await super().submit(command)
            ended("QUEUED" if queued else "NOT_QUEUED")
            return queued


class TracedStore(SqlStore):
    """A store whose calls of `transact` are spans.

    Attributes:
        tracing: makes them; set once, before the first call.
        in_worker: whether the spans of commands are those that `Tracing.received` began.
    """

    tracing: Tracing
    in_worker: bool = False

    async def transact(
        self,
        commands: Sequence[Command],
        guard: Guard,
        *,
        deadline: float,
        offsets: Sequence[OffsetCommit] = (),
        on_decided: Callable[[], None] | None = None,
    ) -> list[CommandResult]:
        """See `SqlStore.transact`."""
        with self.tracing.transaction(commands, guard):
            answers = await super().transact(commands, guard, deadline=deadline, offsets=offsets, on_decided=on_decided)
        if self.in_worker:
            self.tracing.decided(commands, answers)
        return answers


def outcome_of(outcome: Outcome) -> str:
    """ACCEPTED, REPLAYED, or the code of the refusal."""
    return "REPLAYED" if outcome.replayed else "ACCEPTED" if isinstance(outcome, Accepted) else outcome.code


def tracing_of(settings: Settings) -> Tracing | None:
    """The tracing that the settings ask for; None: none.

    Raises:
        BadSetting: the extra is not installed.
    """
    if settings.tracing == "no":
        return None
    try:
        return Tracing()
    except ImportError:
        written = settings.with_value(tracing=settings.tracing)
        raise BadSetting(f"{written}: opentelemetry is not installed: pip install 'stockade[otel]'") from None
