"""Applications are found by module path and by entry point; what cannot be one is refused with a message."""

from importlib.metadata import EntryPoint

import pytest

from coupons.application import APPLICATION
from coupons.tables import CAMPAIGN
from stockade.service import Application, find_application
from stockade.service import application as module
from stockade.service.application import UnknownApplication

PATH = "coupons.application:APPLICATION"


def test_an_application_is_found_by_its_path_and_by_its_entry_point(monkeypatch):
    """`MODULE:ATTRIBUTE`, or the name that a project installs."""
    assert find_application(PATH) is APPLICATION
    points = [EntryPoint("coupons", PATH, "stockade.applications")]
    monkeypatch.setattr(module, "entry_points", lambda group: points)
    assert find_application("coupons") is APPLICATION
    with pytest.raises(UnknownApplication, match="no application 'coupon': installed are: coupons"):
        find_application("coupon")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nowhere.at_all:APP", "No module named 'nowhere'; install the project"),
        ("coupons.application:APP", "has no attribute 'APP'"),
        ("coupons.application:SCHEMA", "is a Schema, which must be a stockade.service.Application"),
        (":APP", "must be MODULE:ATTRIBUTE"),
        ("coupons", "none is installed; or name it as MODULE:ATTRIBUTE"),
    ],
)
def test_what_cannot_be_found_is_said(text, says):
    """The message says what was tried, and what to write."""
    with pytest.raises(UnknownApplication, match=says):
        find_application(text)


def test_a_module_that_cannot_be_imported_says_why(monkeypatch, tmp_path):
    """A package that the project needs is named, and an error of the project's own code is raised as it is."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "needs_more.py").write_text("import not_installed_here\n")
    (tmp_path / "broken_inside.py").write_text("import json\njson.no_such_name\n")
    with pytest.raises(UnknownApplication, match="it imports not_installed_here, which is not installed"):
        find_application("needs_more:APP")
    with pytest.raises(AttributeError, match="no_such_name"):
        find_application("broken_inside:APP")


def test_an_application_that_cannot_be():
    """No resource, or a partition key of a kind that it does not have."""
    with pytest.raises(ValueError, match="needs at least one resource"):
        Application("mine", ())
    with pytest.raises(ValueError, match="partition_kind 'stock' is no kind; there are: campaign"):
        Application("mine", (CAMPAIGN,), partition_kind="stock")
