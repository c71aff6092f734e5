"""A race as JUnit XML: one test case for each invariant. Neighbour: `text.py` has the lines of a failure."""

import re
from collections.abc import Mapping
from xml.etree import ElementTree  # written only; nothing is parsed

from stockade.race.hiding import hide
from stockade.race.reports.text import violation_lines
from stockade.race.result import RaceResult

_NOT_XML = re.compile(r"[^\t\n\r\x20-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")  # XML 1.0, 2.2


def junit_text(result: RaceResult, secrets: Mapping[str, str]) -> str:
    """The document, as text with a line break at its end.

    Args:
        result: of the race.
        secrets: value -> name of what must not stand in it.
    """
    failed = {each.name: each for each in result.violations}
    suite_name = _text(result.name, secrets)
    suite = _suite(suite_name, tests=len(result.invariants), failures=len(failed))
    for name, rule in result.invariants.items():
        case = ElementTree.SubElement(suite, "testcase", classname=f"race.{suite_name}", name=_text(name, secrets))
        if violation := failed.get(name):
            message = _text(f"{rule} ({violation.shown})", secrets)
            failure = ElementTree.SubElement(case, "failure", message=message, type="violation")
            failure.text = _text("\n".join(violation_lines(violation, keyed=result.shares_keys)), secrets)
    return _document(suite)


def without_verdict(name: str, reason: str) -> str:
    """The document of a race that could not be run.

    Args:
        name: of the scenario.
        reason: one line, without secrets.
    """
    name = _text(name, {})
    suite = _suite(name, tests=1, errors=1)
    case = ElementTree.SubElement(suite, "testcase", classname=f"race.{name}", name="verdict")
    ElementTree.SubElement(case, "error", message=_text(reason, {}), type="RaceError")
    return _document(suite)


def _suite(name: str, *, tests: int, failures: int = 0, errors: int = 0) -> ElementTree.Element:
    counts = {"tests": tests, "failures": failures, "errors": errors, "skipped": 0}
    numbers = {each: str(count) for each, count in counts.items()}
    return ElementTree.Element("testsuite", {"name": f"race {name}", **numbers})


def _document(suite: ElementTree.Element) -> str:
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, encoding="unicode") + "\n"


def _text(text: str, secrets: Mapping[str, str]) -> str:
    return _NOT_XML.sub("?", hide(text, secrets))
