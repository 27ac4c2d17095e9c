"""The paths that endpoints answer beside the Open Inference Protocol's: feedback, truth, and the older protocols."""

from collections.abc import Mapping, Sequence

from charkh.endpoints.feedback import Feedbacks, Said, feedback_routes
from charkh.endpoints.inference_server import InferenceServer, RouteMaker
from charkh.endpoints.route import Route
from charkh.endpoints.servable import Servable
from charkh.endpoints.truth import Truth, TruthTaker, truth_routes
from charkh.workspace.masking import taker_of
from charkh.workspace.workspace import Workspace


def makers_of(workspace: Workspace) -> Sequence[RouteMaker]:
    """Makers of those paths, in the order in which they are asked."""
    feedbacks = Feedbacks(workspace.store)
    truths = taker_of(workspace)
    return (feedback_routes(feedbacks), truth_routes(truths), _older(feedbacks, truths))


def _older(feedbacks: Feedbacks, truths: TruthTaker) -> RouteMaker:
    """The paths of Seldon's and KServe's first protocols."""

    def routes(offer: Sequence[Servable], application: InferenceServer) -> Mapping[str, Route]:
        if not offer:
            return {}
        # Here, because a server without endpoints needs no NumPy.
        from charkh.bridges.kserve.routes import routes as of_kserve
        from charkh.bridges.seldon.messages import Feedback, true_value
        from charkh.bridges.seldon.routes import routes_with

        def take(endpoint: str, said: Feedback) -> None:
            truth = true_value(said)
            if truth is not None:
                truths.take(endpoint, [Truth(prediction_id=said.prediction_id, truth=truth)])
            # Seldon's clients leave a reward of 0 out; where the truth is told, nothing is made up.
            if said.reward is not None or truth is None:
                feedbacks.take(endpoint, [Said(prediction_id=said.prediction_id, reward=said.reward or 0.0)])

        return {**of_kserve(offer, application), **routes_with(take)(offer, application)}

    return routes
