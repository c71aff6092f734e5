"""Products, SKUs and their stock. Neighbours: `queries.products`, `queries.popular`, `commands.CreateProduct`."""

from sqlalchemy import Connection

from stockade.shop import queries
from stockade.shop.commands import AdjustStock, CreateProduct, NewSku, SkuPrice, UpdateProduct
from stockade.shop.http.requests.authorization import Access
from stockade.shop.http.requests.request_schemas import (
    AdjustmentBody,
    EditedProductBody,
    PopularQuery,
    ProductBody,
    ProductsQuery,
)
from stockade.shop.http.responses.response_schemas import Adjusted, CreatedProduct
from stockade.shop.http.routing.route import Link, RequestContext, Route


def _products(connection: Connection, request: RequestContext) -> queries.Page[queries.Product]:
    query: ProductsQuery = request.query
    return queries.products(
        connection,
        q=query.q,
        sort=query.sort,
        descending=query.dir == "desc",
        limit=query.limit,
        cursor=query.cursor or None,
    )


def _popular(connection: Connection, request: RequestContext) -> queries.Popular:
    query: PopularQuery = request.query
    return queries.popular(connection, now_ms=request.now_ms, days=query.days, limit=query.limit, by=query.by)


def _product(connection: Connection, request: RequestContext) -> queries.Product | None:
    return queries.product(connection, request.path_ids["product_id"])


def _stock(connection: Connection, request: RequestContext) -> queries.Stock | None:
    return queries.stock(connection, request.path_ids["sku_id"])


def _create(request: RequestContext) -> CreateProduct:
    body: ProductBody = request.body
    skus = tuple(NewSku(sku.price, sku.stock) for sku in body.skus)
    return CreateProduct(*request.command_args, body.name, body.category, skus)


def _update(request: RequestContext) -> UpdateProduct:
    body: EditedProductBody = request.body
    skus = tuple(SkuPrice(sku.id, sku.price) for sku in body.skus)
    product_id = request.path_ids["product_id"]
    return UpdateProduct(*request.command_args, product_id, body.version, body.name, body.category, body.status, skus)


def _adjust(request: RequestContext) -> AdjustStock:
    body: AdjustmentBody = request.body
    sku_id = request.path_ids["sku_id"]
    return AdjustStock(*request.command_args, sku_id, body.delta, body.reason)


PRODUCTS = (
    Route(
        method="GET",
        path="/v1/products",
        summary="List products with their SKUs",
        about=("Products on sale, by id or by price. `q` finds a part of the name. A hidden product is not listed."),
        access=Access.ANYONE,
        query=ProductsQuery,
        response=queries.Page[queries.Product],
        read=_products,
    ),
    Route(
        method="GET",
        path="/v1/products/popular",
        summary="The products sold most in the last days",
        about="Products by the units or the revenue of their PAID orders within whole hours of the last days.",
        access=Access.ANYONE,
        query=PopularQuery,
        response=queries.Popular,
        read=_popular,
        cached=True,
    ),
    Route(
        method="GET",
        path="/v1/products/{product_id}",
        summary="One product with its SKUs",
        about="The product with the prices and the free units of its SKUs. A hidden product is not there.",
        access=Access.ANYONE,
        response=queries.Product,
        read=_product,
        missing="PRODUCT_NOT_FOUND",
    ),
    Route(
        method="GET",
        path="/v1/skus/{sku_id}/stock",
        summary="The stock of one SKU as it is now",
        about="Read from the database for every request, never from a cache.",
        access=Access.ANYONE,
        response=queries.Stock,
        read=_stock,
        missing="SKU_NOT_FOUND",
    ),
    Route(
        method="POST",
        path="/v1/products",
        summary="Put a product with its SKUs on sale",
        about="Makes a product that is on sale at once. The ids of the product and its SKUs are in the answer.",
        access=Access.ADMIN,
        keyed=True,
        body=ProductBody,
        status=201,
        response=CreatedProduct,
        command=_create,
        codes=("PRODUCT_CONFLICT",),
        location="/v1/products/{id}",
        links=(
            Link("GET", "/v1/products/{product_id}", "product_id", "id"),
            Link("GET", "/v1/skus/{sku_id}/stock", "sku_id", "skus/0/id"),
            Link("POST", "/v1/skus/{sku_id}/stock-adjustments", "sku_id", "skus/0/id"),
        ),
    ),
    Route(
        method="PUT",
        path="/v1/products/{product_id}",
        summary="Edit a product: name, category, prices, hidden or not",
        about=(
            "Replaces everything that can be edited, if the product still has the version that was read. A "
            "new price counts for every order that is decided later; orders that were made keep theirs. An "
            "order of a HIDDEN product is refused."
        ),
        access=Access.ADMIN,
        keyed=True,
        body=EditedProductBody,
        response=CreatedProduct,
        command=_update,
        codes=("PRODUCT_NOT_FOUND", "SKU_NOT_FOUND", "VERSION_CONFLICT"),
    ),
    Route(
        method="POST",
        path="/v1/skus/{sku_id}/stock-adjustments",
        summary="Correct the stock of a SKU",
        about=(
            "Adds or removes units by hand: a delivery, a count, a loss. Units that are reserved cannot be removed."
        ),
        access=Access.ADMIN,
        keyed=True,
        body=AdjustmentBody,
        status=201,
        response=Adjusted,
        command=_adjust,
        codes=("SKU_NOT_FOUND", "OUT_OF_STOCK", "LIMIT_EXCEEDED"),
    ),
)
