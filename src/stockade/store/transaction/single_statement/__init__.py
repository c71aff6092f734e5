"""A batch in one statement of PostgreSQL: what only buys speed."""
