"""Every noun's part of the catalog, in one readable list."""

from charkh.assets.index import PROJECTION as ASSETS
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.models.index import PROJECTION as MODELS
from charkh.ports.projections import Projection

PROJECTIONS: tuple[Projection, ...] = (LINEAGE, ASSETS, MODELS)
