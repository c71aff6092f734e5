"""Products, SKUs and their stock. Neighbours: `queries.products`, `queries.popular`, `commands.CreateProduct`."""

from sqlalchemy import Connection

from stockade.shop import queries
from stockade.shop.commands import AdjustStock, CreateProduct, NewSku
from stockade.shop.http.requests.request_schemas import AdjustmentBody, PopularQuery, ProductBody, ProductsQuery
from stockade.shop.http.responses.response_schemas import Adjusted, CreatedProduct
from stockade.shop.http.routing.route import Access, Call, Link, Route


def _products(connection: Connection, call: Call) -> queries.Page[queries.Product]:
    ask: ProductsQuery = call.query
    return queries.products(
        connection, q=ask.q, sort=ask.sort, descending=ask.dir == "desc", limit=ask.limit, cursor=ask.cursor or None
    )


def _popular(connection: Connection, call: Call) -> queries.Popular:
    ask: PopularQuery = call.query
    return queries.popular(connection, now_ms=call.now_ms, days=ask.days, limit=ask.limit, by=ask.by)


def _product(connection: Connection, call: Call) -> queries.Product | None:
    return queries.product(connection, call.params["product_id"])


def _stock(connection: Connection, call: Call) -> queries.Stock | None:
    return queries.stock(connection, call.params["sku_id"])


def _create(call: Call) -> CreateProduct:
    body: ProductBody = call.body
    skus = tuple(NewSku(sku.price, sku.stock) for sku in body.skus)
    return CreateProduct(call.request_id, call.fingerprint, call.now_ms, body.name, body.category, skus)


def _adjust(call: Call) -> AdjustStock:
    body: AdjustmentBody = call.body
    sku_id = call.params["sku_id"]
    return AdjustStock(call.request_id, call.fingerprint, call.now_ms, sku_id, body.delta, body.reason)


PRODUCTS = (
    Route(
        method="GET",
        path="/v1/products",
        summary="List products with their SKUs",
        access=Access.ANYONE,
        query=ProductsQuery,
        reply=queries.Page[queries.Product],
        read=_products,
    ),
    Route(
        method="GET",
        path="/v1/products/popular",
        summary="The products sold most in the last days",
        access=Access.ANYONE,
        query=PopularQuery,
        reply=queries.Popular,
        read=_popular,
        cached=True,
    ),
    Route(
        method="GET",
        path="/v1/products/{product_id}",
        summary="One product with its SKUs",
        access=Access.ANYONE,
        reply=queries.Product,
        read=_product,
        missing="PRODUCT_NOT_FOUND",
    ),
    Route(
        method="GET",
        path="/v1/skus/{sku_id}/stock",
        summary="The stock of one SKU as it is now",
        access=Access.ANYONE,
        reply=queries.Stock,
        read=_stock,
        missing="SKU_NOT_FOUND",
    ),
    Route(
        method="POST",
        path="/v1/products",
        summary="Put a product with its SKUs on sale",
        access=Access.ADMIN,
        keyed=True,
        body=ProductBody,
        status=201,
        reply=CreatedProduct,
        command=_create,
        codes=("PRODUCT_CONFLICT",),
        links=(
            Link("GET", "/v1/products/{product_id}", "product_id", "id"),
            Link("GET", "/v1/skus/{sku_id}/stock", "sku_id", "skus/0/id"),
            Link("POST", "/v1/skus/{sku_id}/stock-adjustments", "sku_id", "skus/0/id"),
        ),
    ),
    Route(
        method="POST",
        path="/v1/skus/{sku_id}/stock-adjustments",
        summary="Correct the stock of a SKU",
        access=Access.ADMIN,
        keyed=True,
        body=AdjustmentBody,
        status=201,
        reply=Adjusted,
        command=_adjust,
        codes=("SKU_NOT_FOUND", "OUT_OF_STOCK", "LIMIT_EXCEEDED"),
    ),
)
