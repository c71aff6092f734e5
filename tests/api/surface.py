"""The public names and signatures, read from the source without running it; `python -m tests.api.surface` renews them.

What is public, and what that means: docs/stability.md.
"""

import functools
import re

import griffe

from tests.docs.site import ROOT

SNAPSHOT = ROOT / "tests" / "api" / "public.txt"
STABILITY = ROOT / "docs" / "stability.md"


def public():
    """Public modules with their public names, as docs/stability.md lists them; an empty tuple: all exported ones."""
    text = STABILITY.read_text().partition("<!-- public -->")[2].partition("<!-- /public -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "| `" in line]
    return {row[0].strip("`"): tuple(re.findall(r"`(\w+)`", row[1])) for row in rows}


@functools.cache
def objects():
    """Every public object by its public path: those of the modules, and the public members of their classes."""
    loader = griffe.GriffeLoader(search_paths=[ROOT / "src"])
    loader.load("stockade", try_relative_path=False)  # in a checkout ./stockade is a script
    loader.resolve_aliases(implicit=True, external=False)
    found = {}
    for path, names in public().items():
        module = loader.modules_collection[path]
        own = [name for name, each in module.members.items() if not name.startswith("_") and not each.is_alias]
        for name in names or [str(each) for each in module.exports or ()] or own:
            found[f"{path}.{name}"] = _target(module.members[name])
    classes = {path: each for path, each in found.items() if each.is_class}
    shown = {each.path for each in classes.values()}
    for path, each in classes.items():
        for name, member in _members(each, shown).items():
            found[f"{path}.{name}"] = member
    return found


def lines():
    """One line for each public object."""
    return [_line(path, each) for path, each in sorted(objects().items())]


def _target(each):
    return each.final_target if each.is_alias else each


def _members(owner, shown):
    """The public members of a class, its own and those of bases that are not public themselves."""
    elsewhere = {base.path for each in owner.mro() if each.path in shown for base in (each, *each.mro())}
    bases = [base for base in owner.mro() if base.path.startswith("stockade.") and base.path not in elsewhere]
    found = {}
    for each in reversed([owner, *bases]):
        for name, member in each.members.items():
            if not name.startswith("_") and not _is_detail(owner, _target(member)):
                found[name] = _target(member)
    return found


def _is_detail(owner, member):
    """Whether it is an attribute that only `__init__` sets and no docstring names."""
    if not member.is_attribute or "property" in member.labels or "class-attribute" in member.labels:
        return False
    fields = {"NamedTuple", "TypedDict"} & {str(base) for base in member.parent.bases}
    is_field = fields or "dataclass" in member.parent.labels
    return not is_field and not any(
        re.search(rf"^\s*{member.name}:", text, re.MULTILINE) for text in _attributes(owner)
    )


def _attributes(owner):
    """The `Attributes:` sections of a class and of its bases."""
    texts = [each.docstring.value for each in (owner, *owner.mro()) if each.docstring]
    return [text.partition("Attributes:")[2] for text in texts]


def described_by_class(member):
    """Whether the class of a member names it, or a base class documents the method that it overrides."""
    owner = member.parent
    if not owner.is_class:
        return False
    overridden = [base.members[member.name] for base in owner.mro() if member.name in base.members]
    return described(owner, member.name) or any(each.has_docstring for each in overridden)


def described(owner, name):
    """Whether the docstring of a class, or of one of its bases, names this member."""
    texts = [each.docstring.value for each in (owner, *owner.mro()) if each.docstring]
    return any(re.search(rf"\b{name}\b", text, re.IGNORECASE) for text in texts)


def _line(path, each):
    if each.is_function:
        kind = "async def" if "async" in each.labels else "def"
        return f"{kind} {path}({', '.join(_parameters(each))}) -> {each.returns}"
    if each.is_class:
        bases = ", ".join(str(base).rpartition(".")[2] if "[" not in str(base) else str(base) for base in each.bases)
        making = f"({', '.join(_parameters(each, own=False))})" if each.parameters else ""
        return f"class {path}{making}{f' of {bases}' if bases else ''}"
    if each.annotation is not None:
        return f"{path}: {each.annotation}"
    return f"{path} = {each.value}" if "class-attribute" in each.labels else path


def _parameters(each, *, own=True):
    marks = {"variadic positional": "*", "variadic keyword": "**"}
    shown, keyword_only = [], False
    for parameter in each.parameters:
        kind = parameter.kind.value
        if parameter.name in ("self", "cls"):
            continue
        if kind == "keyword-only" and not keyword_only:
            keyword_only = True
            shown += [] if any(text.startswith("*") for text in shown) else ["*"]
        text = f"{marks.get(kind, '')}{parameter.name}"
        text += f": {parameter.annotation}" if parameter.annotation is not None else ""
        default = parameter.default is not None and kind not in marks
        shown.append(f"{text} = {parameter.default}" if default else text)
    return shown


if __name__ == "__main__":
    SNAPSHOT.write_text("\n".join(lines()) + "\n")
