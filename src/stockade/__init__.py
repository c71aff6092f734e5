"""stockade: taking an order under concurrency, exactly right, at full speed, and proving it.

Layers, from the bottom: `core` (types), `locks` and `store`, `strategies`, `shop`, `lab`. See ARCHITECTURE.md.
"""

__version__ = "0.1.0"
