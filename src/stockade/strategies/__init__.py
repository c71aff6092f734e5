"""Strategies: where a command waits. One file and one registry line each; none of them knows SQL.

Neighbours: `core` and `locks` below; `shop` chooses one by configuration.
"""
