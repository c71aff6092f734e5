"""Errors that the lab shows to its user as one line."""


class LabError(Exception):
    """The lab cannot do what the options say; the message names the reason and what can be done."""
