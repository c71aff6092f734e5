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


def test_what_the_module_itself_lacks_is_said(tmp_path, monkeypatch):
    """A missing dependency of the project is no missing project, and its own errors are no missing attribute."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lacks_a_dependency.py").write_text("import no_such_dependency\n")
    (tmp_path / "has_a_mistake.py").write_text("import re\nre.no_such_function\n")
    with pytest.raises(UnknownApplication, match="'no_such_dependency', which its module imports; install it"):
        find_application("lacks_a_dependency:APP")
    with pytest.raises(AttributeError, match="no_such_function"):
        find_application("has_a_mistake:APP")


def test_an_application_that_cannot_be():
    """No resource, or a partition key of a kind that it does not have."""
    with pytest.raises(ValueError, match="needs at least one resource"):
        Application("mine", ())
    with pytest.raises(ValueError, match="partition_kind 'stock' is no kind; there are: campaign"):
        Application("mine", (CAMPAIGN,), partition_kind="stock")
