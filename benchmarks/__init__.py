"""Benchmarks: ratios between ways to take orders, measured side by side in one run. See docs/benchmarks.md.

Nothing here is installed with the package. `target` holds the private server and its data, `harness` the measured
loop, `baselines`, `orm` and `pgbench` the other ways, `report` the figures; `orders`, `http_orders`, `grown`, `memory`,
`kafka` and `locks` are started by hand.
"""
