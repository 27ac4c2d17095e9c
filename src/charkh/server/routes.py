"""Every route of the API in one readable list."""

from litestar.types import ControllerRouterHandler

from charkh.server.handlers import (
    cards,
    checks,
    datasets,
    endpoints,
    evaluations,
    exchange,
    exchange_data,
    lineage,
    loops,
    models,
    monitors,
    overview,
    pipelines,
    recipes,
    remote,
    runs,
    sign_in,
    studies,
    users,
    webhooks,
)

ROUTES: tuple[ControllerRouterHandler, ...] = (
    *overview.HANDLERS,
    *datasets.HANDLERS,
    *recipes.HANDLERS,
    *checks.HANDLERS,
    *runs.HANDLERS,
    *pipelines.HANDLERS,
    *studies.HANDLERS,
    *evaluations.HANDLERS,
    *models.HANDLERS,
    *cards.HANDLERS,
    *endpoints.HANDLERS,
    *monitors.HANDLERS,
    *loops.HANDLERS,
    *webhooks.HANDLERS,
    *lineage.HANDLERS,
    *users.HANDLERS,
    *sign_in.HANDLERS,
    *exchange.HANDLERS,
    *exchange_data.HANDLERS,
    *remote.HANDLERS,
)
