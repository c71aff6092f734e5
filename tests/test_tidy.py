"""The rules of STYLE.md as tests: small files and functions, no sleeps, few clocks, no host names, all pins.

Each rule is a function from a source file to its complaints; `BAD` has files that each rule must refuse.
Neighbour: `tests/test_wording.py` has the rules of names and prose.
"""

import ast
import builtins
import functools
import re
import subprocess
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FILE_LINES, FUNCTION_LINES, POSITIONAL = 400, 50, 5

WALL_CLOCK = {  # files that may ask what time it is, and why a monotonic clock would not serve
    "src/stockade/lab/reporting/environment.py": "a report says when it was made",
    "src/stockade/lab/runs/repeats.py": "orders carry the time they were placed",
    "src/stockade/devservers/gateway/main.py": "notifications carry the time at which they were made",
    "src/stockade/gateways/stripe.py": "a signed notification is refused when it is old",
    "src/stockade/identity/testing.py": "tokens expire at a date",
    "src/stockade/identity/verifier.py": "tokens expire at a date",
    "src/stockade/shop/tokens/token_issuer.py": "tokens expire at a date",
    "src/stockade/core/clock.py": "orders carry the time they were placed, reservations expire at a date",
}
FOUND = ("migrations", "presets", "aimed_faults")  # folders whose modules are found by being there
PRINTS: dict[str, str] = {  # files of src that may print, and why
    "src/stockade/devservers/gateway/main.py": "a process of its own, whose log is its output",
}
SLEEPS = {"tests/waiting.py": "looks again until a deadline; every other test waits through it"}
CLOCK = re.compile(r"\b(monotonic|thread_time)\b")
CHILD_LOOP = re.compile(r"^[ \t]*while [^\n]*:(?: *pass$|(?:\n[ \t]+[^\n]*){1,3})", re.MULTILINE)
TIMES_WITHOUT_UNIT = {
    "src/stockade/locks/": "`timeout` in seconds, as in the locks of the standard library",
    "src/stockade/lab/execution/processes/forking_process.py": "`timeout` in seconds, as in `subprocess.Popen`",
}

HOSTS = [".".join(parts) for parts in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"))]
HOSTS += [".".join(parts) for parts in (("maven", "org"), ("maven", "apache", "org"), ("debian", "org"))]
MACHINE = ["/" + folder + "/" for folder in ("work", "root", "farm")]


class Source(NamedTuple):
    """One Python file."""

    path: str
    text: str

    @property
    def tree(self):
        return _tree(self.text)

    @property
    def nodes(self):
        return _nodes(self.text)

    @property
    def functions(self):
        return [node for node in self.nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

    @property
    def calls(self):
        """Every call as (line, dotted name, node)."""
        return _calls(self.text)


# All rules look at one file after the other, so that each is parsed, and gone through, once.
@functools.lru_cache(maxsize=1)
def _tree(text):
    return ast.parse(text)


@functools.lru_cache(maxsize=1)
def _nodes(text):
    return [*ast.walk(_tree(text))]


@functools.lru_cache(maxsize=1)
def _calls(text):
    return [(node.lineno, ast.unparse(node.func), node) for node in _nodes(text) if isinstance(node, ast.Call)]


def long_file(source):
    """A file has at most 400 lines."""
    lines = source.text.count("\n")
    return [f"{lines} lines"] if lines > FILE_LINES else []


def long_function(source):
    """A function has at most 50 lines."""
    return [
        f"{node.lineno}: {node.name} has {size} lines"
        for node in source.functions
        if (size := node.end_lineno - node.lineno + 1) > FUNCTION_LINES
    ]


def many_positional(source):
    """A function of src takes at most 5 positional parameters; the others are named at the call."""
    if not source.path.startswith("src/"):
        return []
    found = []
    for node in source.functions:
        names = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
        if len([name for name in names if name not in ("self", "cls")]) > POSITIONAL:
            found.append(f"{node.lineno}: {node.name}({', '.join(names)})")
    return found


def silent_module(source):
    """A module says why it exists."""
    return [] if ast.get_docstring(source.tree) or not source.text.strip() else ["no docstring"]


def silent_test(source):
    """A test says in one sentence what it holds."""
    if not source.path.startswith("tests/"):
        return []
    tests = [node for node in source.functions if node.name.startswith("test_")]
    return [
        f"{node.lineno}: {node.name} has no one-sentence docstring"
        for node in tests
        if not re.search(r"[.?!…]$", ast.get_docstring(node) or "") or "\n\n" in ast.get_docstring(node)
    ]


def sleeping_test(source):
    """A test waits for what it waits for; `sleep(0)` only lets others run."""
    if not source.path.startswith("tests/") or source.path in SLEEPS:
        return []
    return [
        f"{line}: {name}"
        for line, name, call in source.calls
        if name.rpartition(".")[2] == "sleep" and ast.unparse(call.args[0] if call.args else call) != "0"
    ]


def endless_wait(source):
    """A loop of a test that waits has a deadline, also in the text of a child program; so has the end of a thread."""
    if not source.path.startswith("tests/") or source.path in (*SLEEPS, "tests/test_tidy.py"):  # `BAD` has such texts
        return []
    timed = [node for node in source.nodes if isinstance(node, ast.AsyncWith) and "timeout(" in _head(node)]
    bounded = {id(inner) for node in timed for inner in ast.walk(node)}
    loops = [node for node in source.nodes if isinstance(node, ast.While) and id(node) not in bounded]
    found = [f"{node.lineno}: while" for node in loops if _only_waits(ast.unparse(node))]
    joins = [each for each in source.calls if each[1].endswith(".join")]
    found += [f"{line}: {name}()" for line, name, call in joins if not (call.args or call.keywords)]
    texts = [node for node in source.nodes if isinstance(node, ast.Constant) and "while " in str(node.value)]
    return found + [
        f"{node.lineno}: while, in a text"
        for node in texts
        if any(_only_waits(block) for block in CHILD_LOOP.findall(str(node.value)))
    ]


def _head(node):
    return " ".join(ast.unparse(item.context_expr) for item in node.items)


def _only_waits(loop):
    return bool(re.search(r"\bsleep\(|\bpass$", loop, re.MULTILINE)) and not CLOCK.search(loop)


def wall_clock(source):
    """Only listed files of src ask what time it is; everything else measures with the monotonic clock."""
    if not source.path.startswith("src/"):
        return []
    names = [ast.unparse(node) for node in source.nodes if isinstance(node, ast.Attribute)]
    names += [
        f"{node.module}.{each.name}" for node in source.nodes if isinstance(node, ast.ImportFrom) for each in node.names
    ]
    clocks = r"(^|\.)(time\.time(_ns)?|(datetime|date)\.(now|utcnow|today))$"
    asked = sorted({name for name in names if re.search(clocks, name)})
    if source.path in WALL_CLOCK:
        return [] if asked else ["is listed in WALL_CLOCK and reads no clock: take it off the list"]
    return asked


def printing(source):
    """src speaks through its logger and its console."""
    if not source.path.startswith("src/") or source.path in PRINTS:
        return []
    return [f"{line}: print" for line, name, _ in source.calls if name == "print"]


def time_without_unit(source):
    """A parameter that is a duration has its unit last in the name."""
    if not source.path.startswith("src/") or source.path.startswith(tuple(TIMES_WITHOUT_UNIT)):
        return []
    bare = r"(.*_)?(timeout|wait|delay|interval|ttl|lease|patience|pause)$"
    return [
        f"{node.lineno}: {node.name}({each.arg})"
        for node in source.functions
        for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if re.match(bare, each.arg) and re.search(r"\b(int|float)\b", ast.unparse(each.annotation or ast.Constant("")))
    ]


def untrue_raises(source):
    """A `Raises:` section names exceptions that there are: built in, of src, or named by the code of the file."""
    if not source.path.startswith("src/"):
        return []
    nodes = source.nodes
    there = _classes() | {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    there |= {each.asname or each.name for node in nodes if isinstance(node, ast.Import) for each in node.names}
    documented = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)
    return [
        f"{getattr(node, 'lineno', 1)}: {name}"
        for node in nodes
        if isinstance(node, documented)
        for name in _raised(ast.get_docstring(node) or "")
        if name.partition(".")[0] not in there and name.rpartition(".")[2] not in there
    ]


def _raised(docstring):
    """The exceptions that a docstring promises, e.g. `Busy, NotSupported: why.`"""
    section = re.search(r"^Raises:\n((?:    .*\n|\n)+)", docstring + "\n", re.MULTILINE)
    lines = section[1].splitlines() if section else ()
    said = [line.partition(":")[0] for line in lines if re.match(r"    \S", line)]
    return [name for names in said for name in re.split(r", | or ", names.strip())]


@functools.cache
def _classes():
    """Names of classes that are built in or of src."""
    trees = [Source(path, (ROOT / path).read_text()).tree for path in tracked("src/*.py")]
    own = {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
    return own | set(dir(builtins))


RULES = [
    long_file,
    long_function,
    many_positional,
    silent_module,
    silent_test,
    sleeping_test,
    endless_wait,
    wall_clock,
    printing,
    time_without_unit,
    untrue_raises,
]
BAD = {
    long_file: [Source("src/a.py", '"""A."""\n' + "a = 1\n" * 400)],
    long_function: [Source("src/a.py", "def f():\n" + "    a = 1\n" * 50)],
    many_positional: [Source("src/a.py", "def f(self, a, b, c, d, e, f): ...")],
    silent_module: [Source("src/a.py", "a = 1")],
    silent_test: [Source("tests/a.py", "def test_a():\n    assert 1")],
    sleeping_test: [Source("tests/a.py", "async def f():\n    await asyncio.sleep(0.1)")],
    endless_wait: [
        Source("tests/a.py", "async def f():\n    while not done:\n        await asyncio.sleep(0)"),
        Source("tests/a.py", "thread.join()"),
        Source("tests/a.py", 'CHILD = """\nwhile not done:\n    time.sleep(0)\n"""'),
    ],
    wall_clock: [Source("src/a.py", "from datetime import datetime\nnow = datetime.now()")],
    printing: [Source("src/a.py", "print(1)")],
    time_without_unit: [Source("src/a.py", "def f(*, lock_timeout: float | None): ...")],
    untrue_raises: [
        Source("src/a.py", 'def f():\n    """F.\n\n    Raises:\n        Busy, NoSuchError: never.\n    """')
    ],
}


def tracked(*patterns):
    """Files that git knows and that are there."""
    listed = subprocess.run(["git", "ls-files", "-z", "--", *patterns], cwd=ROOT, capture_output=True, check=True)
    return [path for path in listed.stdout.decode().split("\0") if path and (ROOT / path).is_file()]


def sources():
    """Every Python file of the project."""
    return [Source(path, (ROOT / path).read_text()) for path in tracked("*.py")]


@functools.cache
def _complaints():
    """What each rule says about the files."""
    found = {rule: [] for rule in RULES}
    for source in sources():
        for rule in RULES:
            found[rule] += [f"{source.path}: {what}" for what in rule(source)]
    return found


def read(path):
    """The text of a file, None when it is not text."""
    try:
        return (ROOT / path).read_text()
    except UnicodeDecodeError:
        return None


def pinned(name):
    """What requirements/NAME.txt pins: package -> version."""
    found = re.findall(
        r"^([\w.-]+)(?:\[.*?\])?==(\S+)", (ROOT / "requirements" / f"{name}.txt").read_text(), re.MULTILINE
    )
    return {canonicalize_name(package): version for package, version in found}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule(rule):
    """Every Python file keeps the rule."""
    complaints = _complaints()[rule]
    assert not complaints, f"{rule.__doc__}\n" + "\n".join(complaints)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule_refuses_a_bad_file(rule):
    """A rule that never complains holds nothing."""
    assert BAD[rule]
    assert all(rule(source) for source in BAD[rule])


@pytest.mark.parametrize("limit", ["5", "timeout=5"])
def test_an_end_with_a_limit_is_waited_for(limit):
    """The limit may have its name or not."""
    assert not endless_wait(Source("tests/a.py", f"thread.join({limit})"))


def test_every_strategy_has_its_page():
    """docs/strategies/NAME.md says what a strategy promises, what it costs, and when not to use it."""
    registry = pytest.importorskip("stockade.strategies.registry", reason="no strategies yet")
    missing = [name for name in registry.names() if not (ROOT / "docs" / "strategies" / f"{name}.md").is_file()]
    assert not missing


def test_every_dependency_is_pinned():
    """What pyproject.toml asks for is pinned in a version it allows; dev.txt holds run.txt, which holds base.txt."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras, groups = project["project"]["optional-dependencies"], project["dependency-groups"]
    asked = [*project["project"]["dependencies"]]
    asked += [line for lines in extras.values() for line in lines if not line.startswith("stockade[")]
    contenders = groups.pop("contenders")
    asked += [line for lines in groups.values() for line in lines if isinstance(line, str)]
    dev, run, base = pinned("dev"), pinned("run"), pinned("base")
    wrong = [line for line in asked if not _allows(Requirement(line), dev)]
    wrong += [line for line in contenders if not _allows(Requirement(line), pinned("contenders"))]
    wrong += [line for line in extras["store"] if not _allows(Requirement(line), run)]
    assert not wrong, "not pinned in an allowed version; run ./stockade pins"
    assert base.items() <= run.items() <= dev.items()


def test_no_file_names_a_registry():
    """The machine's configuration says where packages come from: no tracked file names a registry's host."""
    named = [(path, host) for path in tracked() if (text := read(path)) for host in HOSTS if host in text]
    assert not named


def test_no_file_names_a_folder_of_one_machine():
    """What is committed runs anywhere."""
    assert not [(path, place) for path in tracked() if (text := read(path)) for place in MACHINE if place in text]


def test_no_lock_file_is_tracked():
    """uv.lock names hosts in every entry; requirements/*.txt pins the same with hashes."""
    assert not tracked("*uv.lock")


def test_every_module_is_used():
    """A module that no other file imports, names or starts is dead."""
    texts = {path: (ROOT / path).read_text() for path in (*tracked("*.py"), "pyproject.toml")}
    dead = []
    for path in tracked("src/*.py"):
        module = path.removeprefix("src/").removesuffix(".py").replace("/", ".")
        parent, _, name = module.rpartition(".")
        if name in ("__init__", "__main__") or any(f"/{folder}/" in path for folder in FOUND):
            continue
        used = rf"{re.escape(module)}\b|from {re.escape(parent)} import [^#]*?\b{name}\b|\b{name}\.py\b"
        if not any(name in text and re.search(used, text) for other, text in texts.items() if other != path):
            dead.append(path)
    assert not dead


def _allows(requirement, pins):
    version = pins.get(canonicalize_name(requirement.name))
    return version is not None and requirement.specifier.contains(version)
