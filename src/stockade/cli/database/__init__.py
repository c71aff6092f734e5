"""Words of the command line that an operator uses on a database: migrate, audit, dead letters, positions, retention.

Neighbour: `typer_app` registers them.
"""
