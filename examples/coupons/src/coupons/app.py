"""The HTTP service: FastAPI on one side, `stockade.service` on the other.

`uvicorn --factory coupons.app:create_app` serves it. Each route makes a command and hands it to the service; what the
command decided becomes a status. Reads are plain SQLAlchemy.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, HTTPException, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy import Connection, select
from sqlalchemy.ext.asyncio import create_async_engine

from coupons.application import APPLICATION, ENDED_CAMPAIGNS, SCHEMA, TABLES
from coupons.commands import CreateCampaign, GiveCoupon
from coupons.config import Config
from coupons.tables import campaigns, coupons
from stockade.core import Command, StockadeError, now_ms
from stockade.service import (
    Background,
    Handlers,
    KafkaOptions,
    OutboxEvent,
    Service,
    derived_id,
    new_request_id,
    open_service,
)
from stockade.store import Database
from stockade.strategies.options import Options

MAX_ID = 64  # characters of a campaign's id, as its column has
MAX_ENDS_IN_S = 10 * 366 * 86_400
STATUS = {"CAMPAIGN_NOT_FOUND": 404, "INVALID_SIZE": 422}  # of a refusal; every other one is 409


class NewCampaign(BaseModel):
    """A campaign to create."""

    id: str = Field(min_length=1, max_length=MAX_ID)
    size: int
    ends_in_s: float = Field(gt=0, le=MAX_ENDS_IN_S)


async def publish(event: OutboxEvent) -> None:
    """Receives every event at least once; this project prints them."""
    print("event", event.kind, event.body.decode())


def current_user(x_user: Annotated[str, Header(min_length=1, max_length=255)]) -> str:
    """The user of a request. Replace this dependency by one that verifies a token."""
    return x_user


def current_admin(user: Annotated[str, Depends(current_user)]) -> str:
    """The user of a request that only administrators may send: here anybody. `protected` replaces it too."""
    return user


def service_of(request: Request) -> Service:
    """The open service."""
    service: Service = request.app.state.service
    return service


User = Annotated[str, Depends(current_user)]
Admin = Annotated[str, Depends(current_admin)]
CampaignId = Annotated[str, Path(max_length=MAX_ID)]
Coupons = Annotated[Service, Depends(service_of)]
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=255)]


def request_id(user: str, key: str | None) -> str:
    """The same user with the same key is the same request; without a key every request is a new one."""
    return derived_id("request", user, key) if key else new_request_id(now_ms())


@asynccontextmanager
async def open_coupons(config: Config) -> AsyncIterator[Service]:
    """The open service, over the engine of this project."""
    engine = create_async_engine(config.database_url)
    try:
        database = await Database.from_engine(engine, tables=TABLES)
        await SCHEMA.migrate(database)
        kafka = KafkaOptions(APPLICATION.codec, config.kafka, topic="coupons.commands") if config.kafka else None
        options = Options(wait_s=5, kafka=kafka)
        background = Background(sink=Handlers(publish), sweeps=[ENDED_CAMPAIGNS])
        async with open_service(APPLICATION, database, config.strategy, options, background=background) as service:
            yield service
    finally:
        await engine.dispose()


def create_app(config: Config | None = None) -> FastAPI:
    """The application; its lifespan opens the service."""
    chosen = config or Config.from_environment()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_coupons(chosen) as service:
            app.state.service = service
            yield

    app = FastAPI(title="coupons", lifespan=lifespan)
    app.add_exception_handler(StockadeError, _stockade_error)
    _add_routes(app)
    return app


def _add_routes(app: FastAPI) -> None:
    @app.post("/campaigns", status_code=201)
    async def create_campaign(
        body: NewCampaign, user: Admin, service: Coupons, response: Response, idempotency_key: IdempotencyKey = None
    ) -> dict[str, Any]:
        id_ = request_id(user, idempotency_key)
        return await carry_out(service, CreateCampaign(id_, body.id, body.size, body.ends_in_s, now_ms()), response)

    @app.post("/campaigns/{campaign}/coupons", status_code=201)
    async def give_coupon(
        campaign: CampaignId, user: User, service: Coupons, response: Response, idempotency_key: IdempotencyKey = None
    ) -> dict[str, Any]:
        command = GiveCoupon(request_id(user, idempotency_key), campaign, user, now_ms())
        return await carry_out(service, command, response)

    @app.get("/campaigns/{campaign}")
    async def read_campaign(campaign: CampaignId, service: Coupons) -> dict[str, Any]:
        def query(connection: Connection) -> dict[str, Any] | None:
            one = select(campaigns.c["id", "size", "free", "status"]).where(campaigns.c.id == campaign)
            found = connection.execute(one).mappings().one_or_none()
            return None if found is None else dict(found)

        found = await service.read(query)
        if found is None:
            raise HTTPException(404, "CAMPAIGN_NOT_FOUND")
        return found

    @app.get("/me/coupons")
    async def my_coupons(user: User, service: Coupons) -> list[dict[str, Any]]:
        def query(connection: Connection) -> list[dict[str, Any]]:
            mine = select(coupons.c["id", "campaign_id", "number"]).where(coupons.c.user_id == user)
            return [dict(row) for row in connection.execute(mine.order_by(coupons.c.id).limit(100)).mappings()]

        return await service.read(query)


async def carry_out(service: Service, command: Command, response: Response) -> dict[str, Any]:
    """Execute a command; its outcome as an answer."""
    outcome = await service.execute(command)
    if outcome.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    if not outcome.accepted:
        raise HTTPException(STATUS.get(outcome.code, 409), outcome.code)
    return dict(outcome.data)


async def _stockade_error(request: Request, error: Exception) -> Response:
    """Busy, Conflict, Unknown …: the client sends the same request again, with the same Idempotency-Key."""
    assert isinstance(error, StockadeError)
    headers = {"Retry-After": "1"} if error.retryable else {}
    return JSONResponse({"detail": error.code}, 503 if error.retryable else 422, headers)
