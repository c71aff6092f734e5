"""Schema history. `tables.py` is the present; a test holds both equal on every database."""
