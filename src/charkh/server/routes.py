"""Every route of the API in one readable list."""

from litestar.types import ControllerRouterHandler

from charkh.server.handlers import datasets, endpoints, evaluations, lineage, loops, models, monitors, overview, runs

ROUTES: tuple[ControllerRouterHandler, ...] = (
    *overview.HANDLERS,
    *datasets.HANDLERS,
    *runs.HANDLERS,
    *models.HANDLERS,
    *evaluations.HANDLERS,
    *endpoints.HANDLERS,
    *monitors.HANDLERS,
    *loops.HANDLERS,
    *lineage.HANDLERS,
)
