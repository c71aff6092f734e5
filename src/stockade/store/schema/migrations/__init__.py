"""The history of the store's tables. `tables.py` is the present; a test holds both equal on every database."""
