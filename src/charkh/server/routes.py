"""Every route of the API in one readable list."""

from litestar.types import ControllerRouterHandler

from charkh.server.handlers import datasets, endpoints, evaluations, lineage, loops, models, overview

ROUTES: tuple[ControllerRouterHandler, ...] = (
    *overview.HANDLERS,
    *datasets.HANDLERS,
    *models.HANDLERS,
    *evaluations.HANDLERS,
    *endpoints.HANDLERS,
    *loops.HANDLERS,
    *lineage.HANDLERS,
)
