"""The live page of the lab: choose, run, stop, compare, and see a race in slow motion.

`server.py` serves it, `session.py` is what it knows, `child.py` starts the processes that work, `running/` is the one
that carries out a run. Neighbours: `lab/recording/` and `lab/runs/` are the engines, `lab/slow_motion/` the race.
"""
