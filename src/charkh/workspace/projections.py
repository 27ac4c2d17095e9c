"""Every noun's part of the catalog, in one readable list."""

from charkh.assets.index import PROJECTION as ASSETS
from charkh.cards.index import PROJECTION as CARDS
from charkh.checks.index import PROJECTION as CHECKS
from charkh.datasets.forgotten_index import PROJECTION as FORGETTING
from charkh.datasets.index import PROJECTION as DATASETS
from charkh.datasets.profile.index import PROJECTION as PROFILES
from charkh.endpoints.index import PROJECTION as ENDPOINTS
from charkh.endpoints.log_index import PROJECTION as PREDICTIONS
from charkh.endpoints.rollouts.index import PROJECTION as ROLLOUTS
from charkh.evaluations.index import PROJECTION as EVALUATIONS
from charkh.evaluations.stability.index import PROJECTION as STABILITY
from charkh.lineage.index import PROJECTION as LINEAGE
from charkh.loops.index import PROJECTION as LOOPS
from charkh.loops.notified_index import PROJECTION as NOTIFICATIONS
from charkh.models.compiled import PROJECTION as COMPILED
from charkh.models.governance_index import PROJECTION as GOVERNANCE
from charkh.models.index import PROJECTION as MODELS
from charkh.models.logged_index import PROJECTION as LOGGED_MODELS
from charkh.monitors.index import PROJECTION as MONITORS
from charkh.pipelines.index import PROJECTION as PIPELINES
from charkh.ports.projections import Projection
from charkh.recipes.index import PROJECTION as RECIPES
from charkh.runs.evaluation_dataset import PROJECTION as EVALUATION_DATASETS
from charkh.runs.held import PROJECTION as HELD
from charkh.runs.index import PROJECTION as RUNS
from charkh.runs.inputs import PROJECTION as INPUTS
from charkh.runs.scorer import PROJECTION as SCORERS
from charkh.runs.trace_index import PROJECTION as TRACES
from charkh.sources.index import PROJECTION as SOURCES
from charkh.studies.index import PROJECTION as STUDIES
from charkh.users.index import PROJECTION as USERS
from charkh.webhooks.index import PROJECTION as WEBHOOKS

PROJECTIONS: tuple[Projection, ...] = (
    LINEAGE,
    ASSETS,
    DATASETS,
    PROFILES,
    SOURCES,
    FORGETTING,
    RUNS,
    HELD,
    INPUTS,
    TRACES,
    EVALUATION_DATASETS,
    SCORERS,
    RECIPES,
    CHECKS,
    PIPELINES,
    STUDIES,
    EVALUATIONS,
    STABILITY,
    MODELS,
    LOGGED_MODELS,
    GOVERNANCE,
    COMPILED,
    CARDS,
    ENDPOINTS,
    PREDICTIONS,
    ROLLOUTS,
    MONITORS,
    LOOPS,
    NOTIFICATIONS,
    WEBHOOKS,
    USERS,
)
