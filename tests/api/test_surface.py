"""The public API: nothing of it changes unnoticed, and every name of it is documented."""

from tests.api import surface


def test_no_public_name_or_signature_changed():
    """The public names are those of public.txt; renew: `python -m tests.api.surface`."""
    before, now = surface.SNAPSHOT.read_text().splitlines(), surface.lines()
    assert {"gone": sorted({*before} - {*now}), "new": sorted({*now} - {*before})} == {"gone": [], "new": []}


def test_every_public_name_is_documented():
    """Each public class, function and property has a docstring of its own, or one of its class that names it."""
    found = surface.objects()
    missing = [
        path
        for path, each in found.items()
        if not each.has_docstring and not surface.described_by_class(each) and not _speaks_for_itself(each)
    ]
    assert not missing


def _speaks_for_itself(each):
    """A type alias is its value; a field of a class is documented by its class, and its type is in the signature."""
    if str(each.annotation) == "TypeAlias":
        return True
    return each.is_attribute and each.parent.is_class and "property" not in each.labels
