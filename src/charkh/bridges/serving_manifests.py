"""Manifests of any platform that is known here, to the endpoints that they mean; told apart by apiVersion and kind."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from charkh.bridges.kserve import inference_graph, inference_service
from charkh.bridges.manifests import Manifest, Notes, bad_manifest, read_manifests
from charkh.bridges.model_keeping import Keep
from charkh.bridges.model_sources import ModelSources
from charkh.bridges.seldon import core2, deployment
from charkh.bridges.served import of_model
from charkh.core.endpoint_settings import EndpointSettings
from charkh.core.errors import NotFound
from charkh.core.graph_settings import Graph
from charkh.workspace.workspace import Workspace

MODEL_SETTINGS = "model-settings.json"


class Meant(NamedTuple):
    """What manifests come to.

    Attributes:
        endpoints: by name, as `charkh.toml` would say them.
        notes: what is ignored or done otherwise.
    """

    endpoints: Mapping[str, EndpointSettings]
    notes: tuple[str, ...]


def read_files(
    workspace: Workspace,
    paths: Sequence[Path],
    mounts: Mapping[str, Path] | None = None,
    keep: Keep | None = None,
) -> Meant:
    """The endpoints that files mean: manifests of Seldon and KServe, and folders or settings of MLServer.

    Args:
        workspace: in whose store models are found and registered.
        paths: of the files and folders.
        mounts: by claim, the folder that stands for `pvc://CLAIM/…`.
        keep: takes the models that are not registered yet; the registry by default.

    Raises:
        Invalid: a manifest is of an unknown kind, or asks for what cannot be honoured.
        NotFound: a file or a model is not there.
    """
    notes = Notes()
    endpoints: dict[str, EndpointSettings] = {}
    manifests: list[tuple[Manifest, ModelSources]] = []
    for path in paths:
        if path.is_dir() or path.name == MODEL_SETTINGS:
            from charkh.bridges.mlserver import read_folder

            folder = path if path.is_dir() else path.parent
            endpoints |= read_folder(folder, notes, lambda at: ModelSources(workspace, at, mounts, keep))
            continue
        if not path.is_file():
            raise NotFound(f"there is no file {path}", code="manifest.no_file", hint="Mend the path.")
        sources = ModelSources(workspace, path.parent, mounts, keep)
        manifests += [(each, sources) for each in read_manifests(path.read_text(encoding="utf-8"), path.name)]
    endpoints |= _read(manifests, notes)
    if not endpoints:
        raise bad_manifest(f"{', '.join(map(str, paths))} mean no endpoint")
    return Meant(endpoints, notes.lines)


def _read(manifests: Sequence[tuple[Manifest, ModelSources]], notes: Notes) -> dict[str, EndpointSettings]:
    endpoints: dict[str, EndpointSettings] = {}
    models: dict[str, str] = {}
    later: list[Manifest] = []
    for manifest, sources in manifests:
        if manifest.kind == "SeldonDeployment" and manifest.api_version in deployment.API:
            endpoints[manifest.name] = deployment.read_deployment(manifest, notes, sources)
        elif manifest.kind == "InferenceService" and manifest.api_version in inference_service.API:
            endpoints[manifest.name] = inference_service.read_service(manifest, notes, sources)
        elif manifest.kind == "Model" and manifest.api_version in core2.API:
            models[manifest.name] = core2.read_model(manifest, notes, sources)
            endpoints[manifest.name] = EndpointSettings(model=models[manifest.name])
        elif manifest.kind in ("InferenceGraph", "Pipeline", "Experiment"):
            later.append(manifest)
        else:
            raise bad_manifest(
                f"{manifest.where}: {manifest.kind} of {manifest.api_version} is not known here",
                "Known: SeldonDeployment, Model, Pipeline, Experiment, InferenceService, InferenceGraph.",
            )
    # Pipelines before experiments, which may choose between them.
    for manifest in sorted(later, key=lambda each: each.kind == "Experiment"):
        if manifest.kind == "InferenceGraph" and manifest.api_version in inference_graph.API:
            graph = inference_graph.read_graph(manifest, notes, _graphs(endpoints))
            endpoints[manifest.name] = EndpointSettings(graph=graph)
        elif manifest.kind == "Pipeline" and manifest.api_version in core2.API:
            endpoints[manifest.name] = EndpointSettings(graph=core2.read_pipeline(manifest, notes, models))
        elif manifest.kind == "Experiment" and manifest.api_version in core2.API:
            endpoints[manifest.name] = core2.read_experiment(manifest, notes, _graphs(endpoints))
        else:
            raise bad_manifest(f"{manifest.where}: {manifest.kind} of {manifest.api_version} is not known here")
    return endpoints


def _graphs(endpoints: Mapping[str, EndpointSettings]) -> dict[str, Graph]:
    return {
        name: settings.graph if settings.graph else of_model(settings.model) for name, settings in endpoints.items()
    }
