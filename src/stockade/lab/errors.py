"""What the lab tells its user instead of a traceback."""


class LabError(Exception):
    """The lab cannot do what was asked; the message says why and what can be done."""
