"""The error of a race that cannot be run: one line, for people. Neighbours: every module of this folder raises it."""


class RaceError(Exception):
    """There is no verdict: the scenario, its server or its target cannot be used. The text says what to do."""
