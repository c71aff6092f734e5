"""Writes the table of the mutants into docs/evidence.md: `python -m tests.lab.mutants`."""

import logging

from tests.lab.mutants.table import write

logging.disable(logging.CRITICAL)  # lost leases are what is played here
write()
