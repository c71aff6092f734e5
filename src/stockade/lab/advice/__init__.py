"""Advice from measurements: which strategy for which resource under which load, and when the answer flips.

(What an operator can do about an error of a database is something else: `cli/advice.py`.)
"""
