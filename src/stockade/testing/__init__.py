"""Helpers for the tests of an application: databases, races of commands and of HTTP requests, one decision, a meeting
of two transactions.

Nothing here needs pytest; `stockade.testing.fixtures` has fixtures for those who use it. Neighbours: `service` and
`devservers` below; `stockade.locks.testing` has the helpers for locks.
"""

from stockade.testing.command_race import race_commands, request_ids
from stockade.testing.databases import fresh_database
from stockade.testing.decisions import WrongCommand, decide
from stockade.testing.http_race import race
from stockade.testing.rendezvous import Rendezvous

__all__ = ["Rendezvous", "WrongCommand", "decide", "fresh_database", "race", "race_commands", "request_ids"]
