"""The shop as an application: what the lab, the workers and the command line know of it, as of any other one.

Neighbour: `bootstrap` opens it from settings; `stockade.service.application` says what each part means.
"""

from typing import Final

from stockade.service import Application
from stockade.shop.audit import audit
from stockade.shop.migrations import SCHEMA
from stockade.shop.model.command_codec import COMMAND_CODEC
from stockade.shop.model.resources import SHOP_RESOURCES, STOCK

PATH: Final = "stockade.shop.application:APPLICATION"
"""How other processes find it."""

APPLICATION: Final = Application(
    name="shop",
    resources=SHOP_RESOURCES,
    codec=COMMAND_CODEC,
    schema=SCHEMA,
    partition_kind=STOCK.kind,
    check=audit,
    presets="stockade.lab.presets:presets",
    own_queues=("payment",),
)
