"""The shop: an order service whose strategy is a setting. Neighbours: `strategies` and `store` below."""

from stockade.core.extras import require

require("starlette", "uvicorn", "structlog", "prometheus_client")
