"""The shop front: pages of the shop for people, at `/shop`, where the setting `shop_front` asks for them.

A page is a route and a template. Pages call the routes' commands and the queries inside this process, so a button obeys
the same rules as the API; they work without a script. `templates` and
`words` have what they show. Neighbours: `http.routing.app` mounts them; `pages` has the routes.
"""

from stockade.shop.front.handlers import front_handlers

__all__ = ["front_handlers"]
