"""Which extra installs which package, for the message that a user gets when it is not there.

Neighbours: the packages `store`, `strategies` and `shop` call `require`; `stockade.__main__` uses `advice`.
"""

from importlib.util import find_spec

# module -> extra; a test compares it with pyproject.toml
EXTRAS = {
    "starlette": "shop",
    "msgspec": "store",
    "uvicorn": "shop",
    "httptools": "shop",
    "h11": "shop",
    "uvloop": "shop",
    "sqlalchemy": "store",
    "alembic": "store",
    "typer": "shop",
    "rich": "shop",
    "prometheus_client": "shop",
    "structlog": "shop",
    "jinja2": "shop",
    "asyncpg": "postgres",
    "asyncmy": "mysql",
    "redis": "redis",
    "hiredis": "redis",
    "confluent_kafka": "kafka",
    "flask_swagger_ui": "docs-page",
    "jwt": "jwt",
    "cryptography": "jwt",
    "httpx": "payments",
    "sniffio": "payments",
    "stripe": "payments",
    "opentelemetry": "otel",
    "vl_convert": "charts",
}


def advice(module: str | None) -> str:
    """How to install a module; empty where no extra brings it.

    Args:
        module: as it is imported, e.g. `sqlalchemy.exc`.
    """
    name = (module or "").partition(".")[0]
    return f"{name} is not installed: pip install 'stockade[{EXTRAS[name]}]'" if name in EXTRAS else ""


def require(*modules: str) -> None:
    """Refuse to go on without these modules.

    Args:
        modules: top-level names.

    Raises:
        ModuleNotFoundError: one is not installed; the message names the extra that installs it.
    """
    for each in modules:
        if find_spec(each) is None:
            raise ModuleNotFoundError(advice(each) or f"{each} is not installed", name=each)
