"""A scenario as a tree of values: what is set up, what is sent at the same moment, what must hold afterwards.

A TOML file has the same tree (docs/race.md); the fields with functions are for scenarios in Python. Neighbours:
`files/toml_file.py` reads the tree, `checks.py` refuses what cannot be raced.
"""

from collections.abc import Callable
from typing import Annotated, Any

from msgspec import Meta, Struct

MOST_BUYERS = 10_000
MOST_ROUNDS = 1_000
MOST_SECONDS = 300.0

Seconds = Annotated[float, Meta(gt=0, le=MOST_SECONDS)]


class Request(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request. Every text may have placeholders, e.g. `{n}`.

    Attributes:
        path: on the target, with its query.
        method: of HTTP.
        headers: beside those of the target.
        json: the body as a value; None: no body, or `body`.
        body: the body as text.
    """

    path: str
    method: str = "POST"
    headers: dict[str, str] = {}
    json: Any = None
    body: str = ""


class Target(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The service.

    Attributes:
        url: scheme, host and port; empty: 127.0.0.1 and the port of the server that the scenario starts.
        headers: of every request.
        ca_file: the certificates to trust, of an https target; empty: the machine's own.
    """

    url: str = ""
    headers: dict[str, str] = {}
    ca_file: str = ""


class Server(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A server that the race starts and ends.

    Attributes:
        command: the program and its arguments; `{port}` is a free port, `{here}` the folder of the scenario, `{folder}`
            a fresh empty folder, in which it starts, `{python}` this Python.
        env: variables beside those of this process.
        ready: a path that must answer with a status below 500; empty: the port takes connections.
        wait_s: longest start in seconds.
        each_round: a new server with a new folder for every round.
    """

    command: Annotated[list[str], Meta(min_length=1)]
    env: dict[str, str] = {}
    ready: str = ""
    wait_s: Seconds = 30.0
    each_round: bool = False


class SetUp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step before a round: a request, or a command.

    Attributes:
        request: to send.
        command: to run, in the folder of the server, or the present one.
        status: statuses that are right; empty: 200 to 299.
        save: variable -> JSON pointer into the answer.
        save_output: variable that becomes what the command prints.
    """

    request: Request | None = None
    command: list[str] = []
    status: list[int] = []
    save: dict[str, str] = {}
    save_output: str = ""


class Fire(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the requests are sent.

    Attributes:
        buyers: requests of a round.
        keys: different values of `{key}`, which the buyers share in turn; 0: one for each buyer.
        rounds: most rounds; the first violation ends the race.
        rate_per_s: requests for each second, sent whether or not others were answered; 0: all at the same moment.
        timeout_s: longest time from the release to the last answer, in seconds; also of each request around the race.
        least_decided: share of the requests that must be accepted or refused; with fewer there is no verdict.
        most_spread_ms: longest release, from the first request to the last (at a rate: largest lateness), in
            milliseconds; with a longer one there is no verdict.
    """

    buyers: Annotated[int, Meta(ge=2, le=MOST_BUYERS)] = 50
    keys: Annotated[int, Meta(ge=0, le=MOST_BUYERS)] = 0
    rounds: Annotated[int, Meta(ge=1, le=MOST_ROUNDS)] = 10
    rate_per_s: Annotated[float, Meta(ge=0, le=100_000)] = 0.0
    timeout_s: Seconds = 10.0
    least_decided: Annotated[float, Meta(ge=0, le=1)] = 0.9
    most_spread_ms: Annotated[float, Meta(gt=0, le=MOST_SECONDS * 1000)] = 1000.0


class Matching(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which answers count.

    Attributes:
        status: one of these; empty: the usual ones.
        where: JSON pointer -> the value that must be there.
    """

    status: list[int] = []
    where: dict[str, Any] = {}


class Read(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A value that is read after the round: over HTTP, or by SQL.

    Attributes:
        request: whose answer has the value.
        pointer: JSON pointer into the answer; `*` stands for every element of a list.
        sql: a SELECT of one column, on a connection that cannot write.
    """

    request: Request | None = None
    pointer: str = ""
    sql: str = ""


class Scenario(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A race: everything that a scenario file says.

    Attributes:
        name: in reports.
        about: one line, for `--list`.
        target: the service.
        server: to start; None: the service runs already.
        setup: steps before each round, in order.
        requests: sent by the buyers in turn: buyer n sends number n modulo their number.
        race: how they are sent.
        success: which answers accept; 200 to 299 without a status.
        refusal: which answers say no; 400 to 499 without a status. Every other answer is an error.
        answers: name -> JSON pointer into each success; the name is the list of these values.
        database: URL for the reads by SQL.
        reads: name -> value.
        invariants: name -> what must hold, e.g. `sold <= stock`.
        cleanup: requests after each round, in order, whatever it found; they take away what the set-up has made.
        prepare: only in Python: function of the variables, called after `setup`; returns more variables.
        request_of: only in Python: function of the variables of a buyer; returns its `Request`.
        checks: only in Python: name -> function of all values; returns whether the invariant holds.
    """

    name: Annotated[str, Meta(min_length=1, max_length=80)]
    about: str = ""
    target: Target = Target()
    server: Server | None = None
    setup: list[SetUp] = []
    requests: list[Request] = []
    race: Fire = Fire()
    success: Matching = Matching()
    refusal: Matching = Matching()
    answers: dict[str, str] = {}
    database: str = ""
    reads: dict[str, Read] = {}
    invariants: dict[str, str] = {}
    cleanup: list[Request] = []
    prepare: Callable[..., Any] | None = None
    request_of: Callable[..., Any] | None = None
    checks: dict[str, Callable[..., Any]] = {}
