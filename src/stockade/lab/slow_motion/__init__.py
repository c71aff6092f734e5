"""Two buyers and one unit, step by step: the real strategies on a real database, under somebody's control.

Neighbours: `lab/live/` shows it, `stockade.testing.rendezvous` makes the same race without anybody, for tests.
"""
