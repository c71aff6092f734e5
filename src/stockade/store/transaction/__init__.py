"""The one transaction that decides and writes commands."""
