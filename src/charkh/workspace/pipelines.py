"""Run the workspace's own pipelines, with what the workspace hands them."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from charkh.core.errors import NotFound
from charkh.core.params import Params
from charkh.pipelines.execution import StepReport
from charkh.pipelines.load import Pipelines, find_pipeline, load_pipelines
from charkh.pipelines.run import PipelineResult, run_pipeline
from charkh.pipelines.values import Codec
from charkh.workspace.ambient import use
from charkh.workspace.codecs import CandidateCodec
from charkh.workspace.workspace import Workspace


def pipelines_of(workspace: Workspace) -> Pipelines:
    """The pipelines that the workspace's settings name, by name.

    Raises:
        NotFound: the settings name no file, or it is not there.
    """
    source = workspace.settings.pipelines
    if not source:
        raise NotFound(
            "charkh.toml names no pipelines",
            code="pipeline.none_configured",
            hint='Write pipelines = "flows.py" at its top: the file that defines them.',
        )
    with use(workspace):
        return load_pipelines(source, workspace.folder)


def run_named(
    workspace: Workspace,
    name: str,
    params: Params | Mapping[str, Any] | None = None,
    *,
    force: Collection[str] = (),
    notify: Callable[[StepReport], None] | None = None,
) -> PipelineResult:
    """Execute one of the workspace's pipelines; see `charkh.pipelines.run.run_pipeline`."""
    pipeline = find_pipeline(pipelines_of(workspace), name)
    with use(workspace):
        return run_pipeline(
            workspace.store,
            pipeline,
            params,
            folder=workspace.folder,
            ignore=[workspace.store_folder],
            codecs=codecs_of(workspace),
            force=force,
            notify=notify,
        )


def codecs_of(workspace: Workspace) -> list[Codec]:
    """How values of other rooms become step outputs."""
    return [CandidateCodec(lambda: workspace.runtimes)]
