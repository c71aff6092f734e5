"""The shop over HTTP: routes as data (`route`), one walk for all of them (`endpoint`), Litestar below (`app`).

Neighbours: `shop.wiring` carries commands out, `shop.queries` reads, `shop.tokens` says who asks.
"""
