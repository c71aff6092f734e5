"""`stockade lab`: without a word the burst runs; its words record histories, judge them and measure.

Neighbours: `words.py` is the registry, `burst.py` what happens without a word.
"""
