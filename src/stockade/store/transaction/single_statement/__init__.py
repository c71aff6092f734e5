"""A batch of PostgreSQL in one statement, on expected rows: everything here only buys speed.

`executor` is the entry point; the setting `single_statement` switches it off (docs/single-statement.md).
"""
