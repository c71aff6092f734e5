"""The words of STYLE.md, held by tests: standard terms, no private codes, true neighbours, wrapped Markdown.

A rule is a function from a file to its complaints, as in `tests/test_tidy.py`; `BAD` shows each a file that it refuses.
"""

import ast
import functools
import re
from pathlib import PurePosixPath

import pytest

from tests.test_tidy import ROOT, Source, sources, tracked

WHOLE_TREE = True  # False: the rules of names and prose judge only the folders of ROOMS
ROOMS = ("src/stockade/lab/", "src/stockade/devservers/", "src/stockade/cli/lab/")
FILES_PER_FOLDER, COLUMNS = 15, 120
CROWDED = {  # folders of src with more files, and why no sensible split exists
    "src/stockade/core": "one file for each type that all layers use",
    "src/stockade/strategies": "one file for each strategy: the folder is the list of them",
}

# a private word in a name of src -> the standard term
WORDS = {
    "ahead": "speculative",
    "beat": "generation",
    "bench": "worker context",
    "bury": "dead letter",
    "crew": "executor",
    "debts": "release retry",
    "depart": "register",
    "desk": "app state",
    "ears": "subscription",
    "entrant": "contender",
    "evidence": "snapshot",
    "face": "provider base",
    "flight": "in-flight batch",
    "flying": "pending rows",
    "forecast": "speculation",
    "gate": "precondition",
    "hear": "poll",
    "heard": "message",
    "hop": "run in thread",
    "keeper": "manager",
    "lane": "partition processor",
    "recipe": "server spec",
    "rig": "fault harness",
    "scene": "workload",
    "shot": "response",
    "spell": "render",
    "spelled": "compiled",
    "survey": "scan",
    "suspends": "is_async",
    "tally": "worker stats",
    "told": "reported, received",
    "unopened": "missing rows",
    "waitroom": "wait queue",
    "widened": "with extra keys",
    "wire": "transport, codec",
}
STANDARD = re.compile(r"[Ii]n_?[Ff]light")  # such a word in a standard term
# what a reader cannot open: the reports that the project started from, numbers of rules and of defects
CODES = re.compile(
    r"\b[Ss]eeds? 0\d\d|\bseeds'|\b(?:the|both|all) seeds\b|\bthe seed's form\b|\b(?:I[1-6]|M[1-9]|[AB]\d{1,2})\b"
)
NOT_CODES = re.compile(r"base64|A4 paper|M[12] (?:Mac|Pro)")
EXPLAINED = ("docs/glossary.md", "CHANGELOG.md")  # may name what others may not

# words in capitals that prose may have bare, beside those that a string or an enum of src has: statuses, codes, SQL
CAPITALS = re.compile(
    r"ADR|ANALYZE|ASGI|BLPOP|CAP_SYS_NICE|CONFIG|CORS|DESCRIBE|EINVAL|FIFO|FLUSH|GATEWAY_URL|GSSAPI|HTTPX|IETF|JKS|KEYS"
    r"|LOCKED|OAUTHBEARER|ORM|PUBLISH|RBAC|RDS|README|RLIMIT_FSIZE|SASL|SCRIPT|SDK|SETNX|SIGHUP|SIGKILL|SIGSTOP"
    r"|SIGTTIN|SIGTTOU|SKIP|SQLSTATE|TTL|UUID|WRITE|WSGI"
)
CAPITAL = re.compile(r"(?<![\w./*-])[A-Z]{3,}(?:_[A-Z]+)*(?![\w./*-]*\w)")
NOT_PROSE = re.compile(r"`[^`]*`|\]\([^)]*\)|\[[^\]]*\]: .*")


def private_words(source):
    """A file, class, function or parameter of src has no name from the project's private dialect."""
    if not source.path.startswith("src/"):
        return []
    names = {(1, PurePosixPath(source.path).stem)}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add((node.lineno, node.name))
        elif isinstance(node, ast.arg):
            names.add((node.lineno, node.arg))
    return [
        f"{line}: {name}: say {WORDS[word.lower()]!r}"
        for line, name in sorted(names)
        for word in re.findall(r"[A-Z]?[a-z]+", STANDARD.sub("", name))
        if word.lower() in WORDS
    ]


def private_codes(source):
    """No docstring and no comment of src cites what a reader cannot open."""
    if not source.path.startswith("src/"):
        return []
    texts = [f"{line}: {hit}" for line, text in _prose(source) for hit in CODES.findall(NOT_CODES.sub("", text))]
    return list(dict.fromkeys(texts))


def _prose(source):
    """(line, text) of every docstring and every comment."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield getattr(node, "lineno", 1), ast.get_docstring(node) or ""
    for number, line in enumerate(source.text.splitlines(), 1):
        yield number, line.partition("#")[2]


def unknown_neighbours(source):
    """A docstring's `Neighbours:` are files, folders, modules or definitions that exist."""
    docstring = ast.get_docstring(source.tree) or ""
    _, found, after = docstring.partition("Neighbour")
    named = re.findall(r"`(\w[\w./]*)`", after.split("\n\n")[0]) if found else []
    return [f"1: {name}" for name in named if not _exists(name, PurePosixPath(source.path).parent)]


def _exists(name, folder):
    """Whether a name is a file of this folder or one above, or else the end of a path, a module, or a definition."""
    stem = name.removesuffix("/").removesuffix(".py")
    if name.endswith((".py", "/")) and any((ROOT / place / name).exists() for place in (folder, *folder.parents)):
        return True
    if name.endswith(".py") and "/" not in name:
        return False
    if name.endswith((".py", "/")):
        return _is_module(stem)
    parent, _, last = name.rpartition(".")
    return _is_module(name.replace(".", "/")) or (last in _definitions() and (not parent or _is_owner(parent)))


def _is_owner(name):
    return name in _definitions() or _is_module(name.replace(".", "/"))


def _is_module(path):
    return any(file.endswith((f"/{path}.py", f"/{path}/__init__.py")) for file in _files())


@functools.cache
def _files():
    return [f"/{path}" for path in tracked("*.py")]


@functools.cache
def _definitions():
    """Names of classes, functions, variables and attributes of src."""
    found = set()
    for path in tracked("src/*.py"):
        for node in ast.walk(Source(path, (ROOT / path).read_text()).tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(node.name)
            elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
                found.add(node.id if isinstance(node, ast.Name) else node.attr)
    return found


def _prose_lines(source):
    """(number, line, whether it is code) of every line of a page."""
    in_code = False
    for number, line in enumerate(source.text.splitlines(), 1):
        fence = re.match(r"\s*(```|~~~)", line)
        in_code ^= bool(fence)
        yield number, line, bool(in_code or fence or line.startswith("    "))


def long_lines(source):
    """Markdown wraps at 120 columns; tables, code and a line that is one link may be longer."""
    found = []
    for number, line, is_code in _prose_lines(source):
        free = is_code or re.match(r"\s*\||\s*<|\[.*\]: ", line) or " " not in line.strip()
        if len(line) > COLUMNS and not free:
            found.append(f"{number}: {len(line)} columns")
    return found


def placeholders(source):
    """No page has a word in capitals that stands for something to be written later: each is known to src or listed."""
    return [
        f"{number}: {word}: write what it stands for, set it as code, or add it to CAPITALS"
        for number, line, is_code in _prose_lines(source)
        for word in ([] if is_code else CAPITAL.findall(NOT_PROSE.sub("", line)))
        if not CAPITALS.fullmatch(word) and word not in _known_capitals()
    ]


@functools.cache
def _known_capitals():
    """Words in capitals of the strings of src that are no docstrings, and of its enums."""
    found = set()
    for path in tracked("src/*.py"):
        text = re.sub(r'""".*?"""', "", (ROOT / path).read_text(), flags=re.DOTALL)
        for part in re.findall(r'"[^"\n]*"|^    [A-Z_]+ = ', text, re.MULTILINE):
            found.update(re.findall(r"[A-Z][A-Z_]+", part))
    return found


def cited_codes(source):
    """No page cites what a reader cannot open; the glossary explains the two reports that the project started from."""
    if source.path in EXPLAINED:
        return []
    lines = enumerate(source.text.splitlines(), 1)
    return [f"{number}: {hit}" for number, line in lines for hit in CODES.findall(NOT_CODES.sub("", line))]


RULES = [private_words, private_codes, unknown_neighbours]
PAGE_RULES = [long_lines, cited_codes, placeholders]
BAD = {
    private_words: Source("src/a.py", "class RowForecast: ..."),
    private_codes: Source("src/a.py", '"""As in seed 004."""'),
    unknown_neighbours: Source("src/a.py", '"""A. Neighbours: `gone.py` is gone."""'),
    long_lines: Source("docs/a.md", "word " * 30),
    placeholders: Source("docs/a.md", "It sells SPREAD_FIGURES orders, which cost COSTS."),
    cited_codes: Source("docs/a.md", "Invariants I1 to I6."),
}


def pages():
    """Every Markdown page."""
    return [Source(path, (ROOT / path).read_text()) for path in tracked("*.md")]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_rule(rule):
    """Every file of src keeps the rule."""
    judged = [source for source in sources() if WHOLE_TREE or source.path.startswith(ROOMS)]
    complaints = [f"{source.path}: {what}" for source in judged for what in rule(source)]
    assert not complaints, f"{rule.__doc__}\n" + "\n".join(complaints)


@pytest.mark.parametrize("rule", PAGE_RULES, ids=lambda rule: rule.__name__)
def test_page_rule(rule):
    """Every page keeps the rule."""
    complaints = [f"{page.path}: {what}" for page in pages() for what in rule(page)]
    assert not (complaints and WHOLE_TREE), f"{rule.__doc__}\n" + "\n".join(complaints)


@pytest.mark.parametrize("rule", [*RULES, *PAGE_RULES], ids=lambda rule: rule.__name__)
def test_rule_refuses_a_bad_file(rule):
    """A rule that never complains holds nothing."""
    assert rule(BAD[rule])


def test_folders_are_small():
    """A folder of src has at most 15 Python files, unless CROWDED says why no sensible split exists."""
    files = [PurePosixPath(path).parent for path in tracked("src/*.py")]
    counts = {str(folder): files.count(folder) for folder in set(files)}
    crowded = {folder for folder, count in counts.items() if count > FILES_PER_FOLDER}
    assert crowded <= set(CROWDED) or not WHOLE_TREE, crowded - set(CROWDED)
    assert not [folder for folder in crowded if f"{folder}/".startswith(ROOMS)]


def test_pages_have_no_private_name():
    """No page of docs/ is named with a private word; decisions keep their address, and evidence is what it is for."""
    pages_ = [path for path in tracked("docs/*.md") if not path.startswith(("docs/adr/", "docs/evidence.md"))]
    assert not [path for path in pages_ if set(re.findall(r"[a-z]+", PurePosixPath(path).stem)) & set(WORDS)]
