"""Strategies: where a command waits. One file and one line in `registry` each; none of them speaks SQL.

Neighbours: `core`, `locks` and `kafka` below; `shop` chooses one by configuration.
"""

from stockade.core.extras import require

require("msgspec")
