"""Every kind of event and the struct of its body, in one readable list.

What is in it is written down in docs/reference/events.md, and `tests/compat` holds its shape: a published kind is
never reshaped.
"""

from collections.abc import Mapping

import msgspec

from charkh.assets.index import ERASED_KIND, Erased
from charkh.cards.card import MADE_KIND as CARD_KIND
from charkh.cards.card import CardMade
from charkh.checks.check import RAN_KIND, CheckRan
from charkh.checks.searched import SEARCHED_KIND, Searched
from charkh.datasets import dataset, forgotten
from charkh.datasets.profile.profiled import PROFILED_KIND, DatasetProfiled
from charkh.endpoints import deployment
from charkh.endpoints.rollouts import rollout
from charkh.evaluations.evaluation import MADE_KIND as EVALUATION_KIND
from charkh.evaluations.evaluation import EvaluationMade
from charkh.evaluations.stability.certificate import CERTIFIED_KIND, Certified
from charkh.loops import loop
from charkh.models import governance, logged, model, registered
from charkh.models.compiled import COMPILED_KIND, ModelCompiled
from charkh.monitors import monitor
from charkh.pipelines import execution
from charkh.recipes.recorded import RECORDED_KIND, RecipeRecorded
from charkh.runs import evaluation_dataset, held, inputs, project, run, scorer, trace
from charkh.sources import source
from charkh.studies import study
from charkh.users import user
from charkh.webhooks import webhook

BODIES: Mapping[str, type[msgspec.Struct]] = {
    ERASED_KIND: Erased,
    dataset.VERSION_KIND: dataset.VersionMade,
    dataset.AGAIN_KIND: dataset.VersionMadeAgain,
    dataset.DELETED_KIND: dataset.VersionDeleted,
    PROFILED_KIND: DatasetProfiled,
    forgotten.ROWS_ERASED_KIND: forgotten.RowsErased,
    forgotten.FORGOTTEN_KIND: forgotten.Forgotten,
    run.STARTED_KIND: run.RunStarted,
    run.PROVENANCE_KIND: run.RunProvenance,
    run.PARAMS_KIND: run.RunParams,
    run.TAGGED_KIND: run.RunTagged,
    run.ARTIFACT_KIND: run.RunArtifact,
    run.ARTIFACT_REMOVED_KIND: run.RunArtifactRemoved,
    run.LINKED_KIND: run.RunLinked,
    run.ENDED_KIND: run.RunEnded,
    inputs.INPUT_KIND: inputs.RunInput,
    run.SEALED_KIND: run.RunSealed,
    run.RENAMED_KIND: run.RunRenamed,
    run.TRASHED_KIND: run.RunTrashed,
    run.RESTORED_KIND: run.RunRestored,
    run.DELETED_KIND: run.RunDeleted,
    project.MADE_KIND: project.ProjectMade,
    project.RENAMED_KIND: project.ProjectRenamed,
    project.DELETED_KIND: project.ProjectDeleted,
    project.RESTORED_KIND: project.ProjectRestored,
    project.TAGGED_KIND: project.ProjectTagged,
    held.MEDIA_SEALED_KIND: held.MediaSealed,
    held.CONSOLE_SEALED_KIND: held.ConsoleSealed,
    trace.TRACE_KIND: trace.TraceLogged,
    trace.SPANS_KIND: trace.SpansLogged,
    trace.TAGGED_KIND: trace.TraceTagged,
    trace.ASSESSED_KIND: trace.TraceAssessed,
    trace.LINKED_KIND: trace.TraceLinked,
    trace.DELETED_KIND: trace.TraceDeleted,
    evaluation_dataset.MADE_KIND: evaluation_dataset.EvaluationDatasetMade,
    evaluation_dataset.CHANGED_KIND: evaluation_dataset.EvaluationDatasetChanged,
    evaluation_dataset.RECORDS_KIND: evaluation_dataset.EvaluationRecords,
    evaluation_dataset.DELETED_KIND: evaluation_dataset.EvaluationDatasetDeleted,
    scorer.REGISTERED_KIND: scorer.ScorerRegistered,
    scorer.REMOVED_KIND: scorer.ScorerRemoved,
    source.FETCHED_KIND: source.Fetched,
    source.CHECKED_KIND: source.Checked,
    RECORDED_KIND: RecipeRecorded,
    RAN_KIND: CheckRan,
    SEARCHED_KIND: Searched,
    execution.STEP_DONE_KIND: execution.StepDone,
    execution.STEP_FAILED_KIND: execution.StepFailed,
    execution.STEP_FORGOTTEN_KIND: execution.StepForgotten,
    execution.STARTED_KIND: execution.PipelineStarted,
    execution.ENDED_KIND: execution.PipelineEnded,
    study.STARTED_KIND: study.StudyStarted,
    study.TRIAL_KIND: study.TrialDone,
    study.ENDED_KIND: study.StudyEnded,
    EVALUATION_KIND: EvaluationMade,
    CERTIFIED_KIND: Certified,
    model.VERSION_KIND: model.VersionMade,
    model.ALIAS_KIND: model.AliasMoved,
    model.DELETED_KIND: model.VersionDeleted,
    registered.REGISTERED_KIND: registered.ModelRegistered,
    registered.DESCRIBED_KIND: registered.ModelDescribed,
    registered.TAGGED_KIND: registered.ModelTagged,
    registered.STAGED_KIND: registered.ModelStaged,
    registered.RENAMED_KIND: registered.ModelRenamed,
    registered.REMOVED_KIND: registered.ModelRemoved,
    governance.TRUSTED_KIND: governance.ModelTrusted,
    governance.DISTRUSTED_KIND: governance.ModelDistrusted,
    governance.SIGNED_KIND: governance.ModelSigned,
    governance.APPROVED_KIND: governance.ModelApproved,
    COMPILED_KIND: ModelCompiled,
    logged.LOGGED_KIND: logged.ModelLogged,
    logged.CHANGED_KIND: logged.LoggedChanged,
    logged.MEASURED_KIND: logged.ModelMeasured,
    logged.ARTIFACT_KIND: logged.LoggedArtifact,
    logged.LINKED_KIND: logged.LoggedLinked,
    logged.DELETED_KIND: logged.LoggedDeleted,
    CARD_KIND: CardMade,
    deployment.DEPLOYED_KIND: deployment.Deployed,
    deployment.STOPPED_KIND: deployment.Stopped,
    deployment.SEALED_KIND: deployment.Sealed,
    deployment.EXPIRED_KIND: deployment.Expired,
    deployment.TRUTH_KIND: deployment.TruthTold,
    rollout.BEGUN_KIND: rollout.Begun,
    rollout.MOVED_KIND: rollout.Moved,
    rollout.ENDED_KIND: rollout.Ended,
    rollout.COUNTED_KIND: rollout.Counted,
    rollout.FEEDBACK_KIND: rollout.Feedback,
    monitor.COLLECTED_KIND: monitor.Collected,
    monitor.RAISED_KIND: monitor.Raised,
    monitor.RESOLVED_KIND: monitor.Resolved,
    monitor.ACKNOWLEDGED_KIND: monitor.Acknowledged,
    monitor.SILENCED_KIND: monitor.Silenced,
    monitor.UNSILENCED_KIND: monitor.Unsilenced,
    loop.DECIDED_KIND: loop.Decided,
    loop.SUPERSEDED_KIND: loop.Superseded,
    loop.CONCLUDED_KIND: loop.Concluded,
    loop.PAUSED_KIND: loop.Paused,
    loop.RESUMED_KIND: loop.Resumed,
    loop.NOTIFIED_KIND: loop.Notified,
    webhook.MADE_KIND: webhook.WebhookMade,
    webhook.CHANGED_KIND: webhook.WebhookChanged,
    webhook.DELETED_KIND: webhook.WebhookDeleted,
    user.MADE_KIND: user.UserMade,
    user.DISABLED_KIND: user.UserDisabled,
    user.GRANTED_KIND: user.UserGranted,
    user.TOKEN_MADE_KIND: user.TokenMade,
    user.TOKEN_REVOKED_KIND: user.TokenRevoked,
    user.SIGNED_IN_KIND: user.UserSignedIn,
    user.DENIED_KIND: user.UserDenied,
}
