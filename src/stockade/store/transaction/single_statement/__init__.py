"""A batch of PostgreSQL in one statement, on expected rows: everything here only buys speed.

The store enters it by three calls of `executor.SingleStatement`: `tracking` around a batch, `run` for an attempt, and
`observe` after a batch that ran under locks. The setting `single_statement` switches it off (docs/single-statement.md).
"""
