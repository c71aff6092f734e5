"""Executes the orders of one repeat: in this process, in several, through a log, or under a fault."""
