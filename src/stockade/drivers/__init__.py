"""How to reach a server: URLs, host names, TLS, connecting within a bound, and what a driver's error means.

The store and the locks both use this layer, so that a URL means the same to both. It needs the standard library; a
driver is imported when a connection is made.
"""
