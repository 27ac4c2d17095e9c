"""The paths that endpoints answer beside the Open Inference Protocol's: feedback, truth, and the older protocols."""

from collections.abc import Mapping, Sequence

from charkh.endpoints.application import Application, RouteMaker
from charkh.endpoints.feedback import Feedbacks, Said, feedback_routes
from charkh.endpoints.route import Route
from charkh.endpoints.servable import Servable
from charkh.endpoints.truth import truth_routes
from charkh.workspace.masking import taker_of
from charkh.workspace.workspace import Workspace


def makers_of(workspace: Workspace) -> Sequence[RouteMaker]:
    """Makers of those paths, in the order in which they are asked."""
    feedbacks = Feedbacks(workspace.store)
    return (feedback_routes(feedbacks), truth_routes(taker_of(workspace)), _older(feedbacks))


def _older(feedbacks: Feedbacks) -> RouteMaker:
    """The paths of Seldon's and KServe's first protocols."""

    def routes(offer: Sequence[Servable], application: Application) -> Mapping[str, Route]:
        if not offer:
            return {}
        # Here, because a server without endpoints needs no NumPy.
        from charkh.bridges.kserve.routes import routes as of_kserve
        from charkh.bridges.seldon.messages import Feedback
        from charkh.bridges.seldon.routes import routes_with

        def take(endpoint: str, said: Feedback) -> None:
            named = str(said.response.meta.tags.get("prediction_id") or said.response.meta.puid)
            feedbacks.take(endpoint, [Said(prediction_id=named, reward=said.reward)])

        return {**of_kserve(offer, application), **routes_with(take)(offer, application)}

    return routes
