"""The shop over HTTP. A request goes `server` → `routing.app` → `routing.endpoint` → `Shop.execute` → its strategy.

`requests` parses and checks, `responses` encodes; routes are data (`routing.route`, `routing.routes`).
"""
