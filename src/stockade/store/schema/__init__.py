"""The tables, their migrations, and what a database user must be allowed to do."""
