"""Optimistic control alone, which the Java project's report warns of: everyone who read "unpaid" asks the gateway."""

from typing import ClassVar

from stockade.lab.schemes.version_with_key import VersionWithKey


class VersionNoKey(VersionWithKey):
    """Read, ask, write if the version is unchanged: for a gateway that takes no idempotency key."""

    name: ClassVar[str] = "version-no-key"
    keyed: ClassVar[bool] = False
