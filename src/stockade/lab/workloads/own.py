"""A workload of a user's own, `MODULE:NAME`: imported, and everything that it gives is checked before it is sent.

What is wrong with it is one line with its file and what to do, before it becomes an answer of a process, or a violation
that says nothing about the strategy. Neighbours: `workload.py` is the interface, `registry.py` makes this from a name.
"""

import itertools
import pickle
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from stockade.core import Command, Key
from stockade.lab.errors import LabError, described, shown
from stockade.lab.model.burst import RepeatNames
from stockade.lab.workloads.workload import Load, Request
from stockade.service.application import Application, UnknownApplication, find_attribute
from stockade.store.transaction.validation import UnknownKind, command_problem, keys_problem

MEMBERS: Final = ("name", "summary", "load", "must_break", "setup", "rows", "requests")
NAME: Final = re.compile(r"[\w.:-]{1,100}")  # part of the names of files
MOST_CLIENTS: Final = 2_000
MOST_CODES: Final = 3  # shown
HOW: Final = "docs/lab.md, A workload of your own, says what each is"
_END: Final = object()


class OwnWorkload:
    """A workload that a user wrote.

    Args:
        text: `MODULE:NAME`.
        application: whose commands it sends.

    Raises:
        LabError: it cannot be imported, or is no workload; the message names the file and says what to do.
    """

    def __init__(self, text: str, application: Application) -> None:
        self._text, self._application = text, application
        self._resources = {each.kind: each for each in application.resources}
        self._file = ""
        self._sent: set[type[Any]] = set()  # types of commands that a process can be sent
        found = self._imported()
        with self._said("its members"):
            self._check_members(found)
            self.name, self.summary = str(found.name), str(found.summary)
            self.load, self.must_break = found.load, found.must_break
        self._found = found

    def setup(self, names: RepeatNames) -> Sequence[Command]:
        """See `Workload`.

        Raises:
            LabError: it raises, or gives what is no command of the application.
        """
        made = self._listed("setup", self._found.setup, names)
        for each in made:
            if problem := self._problem(each):
                raise self._error(f"setup() gives {problem}")
        return made

    def rows(self, names: RepeatNames) -> Sequence[Key]:
        """See `Workload`.

        Raises:
            LabError: it raises, or gives what is no row that can be read.
        """
        keys = self._listed("rows", self._found.rows, names)
        if problem := keys_problem("it", keys, self._resources):
            raise self._error(f"rows() gives a key that cannot be read: {self._with_hint(problem)}")
        if many := [each for each in keys if self._resources[each.kind].many]:
            raise self._error(f"rows() gives {many[0]}: rows of this kind are only inserted, so they have no version")
        return keys

    def requests(self, names: RepeatNames, seed: int) -> Iterator[Request]:
        """See `Workload`. The first request is made at once, so that nothing is started for one that is wrong.

        Raises:
            LabError: it raises, gives none, or gives what cannot be sent; later also while it is read, and if it ends.
        """
        with self._said("requests()"):
            given = self._found.requests(names, seed)
            if not hasattr(given, "__iter__") or isinstance(given, str | Request):
                raise self._error(f"requests() gives {given!r:.80}: it must yield stockade.lab.Requests")
            iterator = iter(given)
        first = self._next(iterator, 1)
        if first is None:
            raise self._error("requests() gives none: it must yield at least one stockade.lab.Request")
        return self._each(first, iterator)

    def cannot_be_made(self, error: Exception) -> LabError:
        """The error of a recording whose rows could not be made by `setup`."""
        return self._error(f"setup(): {error}")

    def nothing_decided(self, said: str) -> LabError:
        """The error of a recording of which no command was decided.

        Args:
            said: what the first one ended with.
        """
        return self._error(f"no command was decided, each ended with an error, so correct the commands first: {said}")

    def nothing_accepted(self, codes: Sequence[str], failed: Sequence[str] = ()) -> LabError:
        """The error of a recording of which every command was refused, or ended with an error.

        Args:
            codes: why, of each command that was refused.
            failed: what each of the others ended with.
        """
        most = ", ".join(f"{code} {count:,}" for code, count in Counter(codes).most_common(MOST_CODES))
        which = "" if failed else "all "
        errors = f", and {len(failed):,} ended with an error ({failed[0]})" if failed else ""
        why = f"{which}{len(codes):,} commands were refused ({most}){errors}, so nothing was written"
        return self._error(f"{why} and the recording says nothing: does setup() make the rows that they need?")

    def _each(self, first: Request, iterator: Iterator[Any]) -> Iterator[Request]:
        request = first
        for number in itertools.count(1):
            yield request
            following = self._next(iterator, number + 1)
            if following is None:
                raise self._error(f"requests() ends after {number:,}: it must go on without end")
            request = following

    def _next(self, iterator: Iterator[Any], number: int) -> Request | None:
        with self._said(f"requests(), at request {number}"):
            given = next(iterator, _END)
            if given is _END:
                return None
            if problem := self._request_problem(given):
                raise self._error(f"request {number} {problem}")
        assert isinstance(given, Request)
        return given

    def _request_problem(self, given: Any) -> str:
        if not isinstance(given, Request):
            return f"is {_a(given)}: yield stockade.lab.Request(command)"
        if problem := self._problem(given.command):
            return f"has {problem}"
        named = {str(key) for key in given.command.keys}
        for member in ("deltas", "takes"):
            values = getattr(given, member)
            if not isinstance(values, Mapping) or not all(type(each) is int for each in values.values()):
                example = {min(named, default="stock:7"): -1}
                return f"has {member} {values!r:.80}: it must be whole numbers by row, e.g. {example}"
            if strange := [each for each in values if each not in named]:
                rows = ", ".join(sorted(named))
                return f"has {member} of {strange[0]!r:.80}, which its command does not name; its rows are {rows}"
        return self._reuse_problem(given)

    def _reuse_problem(self, given: Request) -> str:
        other = given.reuse
        if other is None:
            return ""
        if problem := self._problem(other):
            return f"has as `reuse` {problem}"
        if other.request_id != given.command.request_id or other.fingerprint == given.command.fingerprint:
            return "has a `reuse` that must have the request id of its command and another fingerprint"
        return ""

    def _problem(self, command: Any) -> str:
        """What is wrong with a command; empty: nothing."""
        if problem := command_problem(command) or keys_problem(command.name, command.keys, self._resources):
            return f"{_a(command)}, which cannot be sent: {self._with_hint(problem)}"
        if type(command) not in self._sent:
            try:
                pickle.loads(pickle.dumps(command))  # noqa: S301 - made in the line itself
            except Exception as error:  # noqa: BLE001 - whatever it is, no process could get such a command
                text = f"{_a(command)}, which cannot be sent to another process ({' '.join(str(error).split())})"
                return f"{text}: define its class at the top of a module, with fields of plain values"
            self._sent.add(type(command))
        return ""

    def _with_hint(self, problem: Exception) -> str:
        if not isinstance(problem, UnknownKind):
            return str(problem)
        return (
            f"{problem}, that of the application {self._application.name}; "
            "--app MODULE:ATTRIBUTE names the application of these commands"
        )

    def _listed(self, name: str, method: Any, names: RepeatNames) -> tuple[Any, ...]:
        with self._said(f"{name}()"):
            given = method(names)
            if not hasattr(given, "__iter__") or isinstance(given, str | Key):
                what = "commands" if name == "setup" else "keys"
                raise self._error(f"{name}() gives {given!r:.80}: it must give a list of {what}")
            return tuple(given)

    def _imported(self) -> Any:
        module, colon, name = self._text.partition(":")
        if not (module and colon and name):
            raise LabError(f"--workload {self._text}: must be MODULE:NAME, e.g. coupons.lab:STREAM")
        try:
            found = find_attribute(self._text)
        except UnknownApplication as error:
            self._file = _file_of(module)
            if not self._file:
                raise LabError(f"--workload {error}") from None
            there = [each for each, value in vars(sys.modules[module]).items() if _looks_like_one(value)]
            raise self._error(f"there is no {name} in it; {_named(there)}") from None
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the module does while it is imported
            raise LabError(
                f"--workload {self._text}: the module cannot be imported: {described(error)}; correct it first"
            ) from None
        self._file = _file_of(module)
        return found

    def _check_members(self, found: Any) -> None:
        """Refuse what is no workload.

        Raises:
            LabError: the message says which member is wrong, and what it must be.
        """
        if isinstance(found, type):
            name = found.__name__
            raise self._error(f"is the class {name}: name an object of it, e.g. WORKLOAD = {name}() in that file")
        if missing := [each for each in MEMBERS if not hasattr(found, each)]:
            raise self._error(f"is no workload: it has no {', '.join(missing)}; {HOW}")
        if not (isinstance(found.name, str) and NAME.fullmatch(found.name)):
            raise self._error(f"has the name {found.name!r:.80}: it must be letters, digits and . : _ -, up to 100")
        if not (isinstance(found.summary, str) and found.summary):
            raise self._error(f"has the summary {found.summary!r:.80}: it must be a text")
        if not isinstance(found.load, Load):
            raise self._error(f"has the load {found.load!r:.80}: it must be a stockade.lab.Load, e.g. Load(clients=8)")
        clients: object = found.load.clients
        share: object = found.load.duplicate_share
        if not (type(clients) is int and 1 <= clients <= MOST_CLIENTS):
            raise self._error(f"has a load of {clients!r:.80} clients: it must be a number from 1 to {MOST_CLIENTS:,}")
        if not (isinstance(share, int | float) and 0 <= share <= 1):
            raise self._error(f"has a duplicate_share of {share!r:.80}: it must be a number from 0 to 1")
        if not isinstance(found.must_break, bool):
            raise self._error(f"has must_break {found.must_break!r:.80}: it must be True or False")
        if wrong := [each for each in ("setup", "rows", "requests") if not callable(getattr(found, each))]:
            raise self._error(f"has {', '.join(wrong)} that cannot be called; {HOW}")

    @contextmanager
    def _said(self, what: str) -> Iterator[None]:
        """Say what raised, and where."""
        try:
            yield
        except LabError:
            raise
        except Exception as error:
            raise LabError(
                f"--workload {self._text}: {what} raised {described(error, self._file)}; correct it there"
            ) from error

    def _error(self, text: str) -> LabError:
        return LabError(f"--workload {self._text} ({shown(self._file) if self._file else 'no file'}): {text}")


def _looks_like_one(value: Any) -> bool:
    return not isinstance(value, type) and all(hasattr(value, each) for each in MEMBERS)


def _named(names: Sequence[str]) -> str:
    return f"workloads in it are: {', '.join(names)}" if names else "it has no workload, an object as " + HOW


def _file_of(module: str) -> str:
    return str(getattr(sys.modules.get(module), "__file__", None) or "")


def _a(value: object) -> str:
    return f"a value of the type {type(value).__name__}"
