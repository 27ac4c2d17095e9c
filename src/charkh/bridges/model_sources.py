"""Models that manifests name, found in the registry or registered from their files.

Equal files register nothing new. Whoever runs the command names the files; nothing of it comes from a client. Files
that would run code are registered and not loaded: that needs `charkh model trust`, as everywhere.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from charkh.bridges.manifests import bad_manifest
from charkh.bridges.mlflow.mlmodel import signature_of
from charkh.bridges.model_keeping import Keep, Registering
from charkh.bridges.served import ModelSource
from charkh.core.errors import Invalid, NotFound
from charkh.core.mlmodel import read_mlmodel
from charkh.models.find import find
from charkh.models.register import judge_model
from charkh.ports.runtimes import Signature, TensorSpec
from charkh.workspace.model_width import width_of
from charkh.workspace.workspace import Workspace

MAX_FILES = 200
MAX_BYTES = 4 * 1024**3
BESIDE = frozenset({"model-settings.json", "settings.json", "README.md", ".DS_Store"})
"""Files of a folder that are no part of its model."""


_FETCH = {
    "gs": "Fetch it, such as by `gcloud storage cp -r {address} FOLDER`,",
    "hf": "Fetch it, such as by `hf download {rest} --local-dir FOLDER`,",
    "http": "Fetch it, such as by `curl -O {address}`,",
    "https": "Fetch it, such as by `curl -O {address}`,",
}
"""What brings an address here that is not read, by its scheme."""


class ModelSources:
    """Resolves what manifests name.

    Args:
        workspace: in whose store models are found and registered.
        folder: that paths are relative to: the manifest's.
        mounts: by claim, the folder that stands for `pvc://CLAIM/…`; by address, what stands for what lies there.
        keep: takes what is not registered yet; the registry by default.
    """

    def __init__(
        self,
        workspace: Workspace,
        folder: Path,
        mounts: Mapping[str, Path] | None = None,
        keep: Keep | None = None,
    ) -> None:
        self._workspace = workspace
        self._keep = keep or Registering(workspace)
        self._folder = folder
        self._mounts = dict(mounts or {})

    def __call__(self, source: ModelSource) -> str:
        """The reference of the version, such as `delay@3`.

        Raises:
            Invalid: the address cannot be read here, or the files are no model.
            NotFound: there is no such model, or no such file.
        """
        registered = self._registered(source.uri)
        if registered:
            version = find(self._workspace.store, registered)
            return f"{version.made.name}@{version.made.number}"
        files = self._files(source)
        signature, example = self._said(source, files)
        return self._keep(
            source.name,
            files,
            example=example,
            signature=signature,
            runtime="mlflow" if "MLmodel" in files else source.runtime,
            description=f"registered from {source.uri}",
        )

    def _registered(self, uri: str) -> str:
        """The registry's own reference where the address is one, else empty."""
        if uri.startswith("models:/"):
            name, _, number = uri.removeprefix("models:/").lstrip("/").partition("/")
            return f"{name}@{number}" if number else name
        is_path = "://" in uri or uri.startswith((".", "/")) or (self._folder / uri).exists()
        return "" if is_path or "@" not in uri else uri

    def _files(self, source: ModelSource) -> Mapping[str, bytes]:
        scheme, mapped = urlsplit(source.uri).scheme, self._mapped(source.uri)
        if scheme == "s3" and mapped is None:
            return _from_bucket(source)
        path = mapped or self._path(source, scheme)
        if path.is_file():
            return {path.name: path.read_bytes()}
        if not path.is_dir():
            raise NotFound(
                f"{source.where}: there is nothing at {path}", code="manifest.no_model", hint="Mend the address."
            )
        found = [each for each in sorted(path.rglob("*")) if each.is_file() and each.name not in BESIDE]
        if not found or len(found) > MAX_FILES or sum(each.stat().st_size for each in found) > MAX_BYTES:
            raise bad_manifest(f"{source.where}: {path} holds {len(found)} files, which is no model")
        return {str(each.relative_to(path)): each.read_bytes() for each in found}

    def _path(self, source: ModelSource, scheme: str) -> Path:
        if scheme in ("", "file"):
            return self._folder / unquote(urlsplit(source.uri).path if scheme else source.uri)
        if scheme == "pvc":
            claim, _, rest = source.uri.removeprefix("pvc://").partition("/")
            if claim not in self._mounts:
                raise bad_manifest(f"{source.where}: the claim {claim!r} is not here", f"Say --map {claim}=FOLDER.")
            return self._mounts[claim] / rest
        address = source.uri[:200]
        fetch = _FETCH.get(scheme, "Copy the files to this machine").format(
            address=address, rest=address.partition("://")[2]
        )
        raise bad_manifest(
            f"{source.where}: {scheme}:// is not read here ({address})", f"{fetch} and say --map {address}=FOLDER."
        )

    def _mapped(self, uri: str) -> Path | None:
        """The folder that stands for an address, or for what the address lies in."""
        for prefix, folder in self._mounts.items():
            begin = prefix.rstrip("/")
            if "://" in prefix and (uri.rstrip("/") == begin or uri.startswith(f"{begin}/")):
                return folder / uri[len(begin) :].strip("/")
        return None

    def _said(self, source: ModelSource, files: Mapping[str, bytes]) -> tuple[Signature | None, Any]:
        """The signature, or an example that tells it; of files that would run code what any matrix of numbers has."""
        if source.inputs:
            return Signature(inputs=_specs(source.inputs), outputs=_specs(source.outputs)), None
        if "MLmodel" in files:
            declared = signature_of(read_mlmodel(files["MLmodel"]))
            if declared.inputs:
                return declared, None
        judged = judge_model(files, self._workspace.runtimes, source.runtime)
        if judged.safety.runs_code:
            return Signature(inputs=(TensorSpec(name=source.input, datatype="FP64", shape=(-1, -1)),), outputs=()), None
        if judged.runtime.name == "onnx":
            return _of_graph(next(iter(files.values()))), None
        try:
            width = width_of(judged.runtime, files)
        except Invalid as error:
            raise bad_manifest(
                f"{source.where}: {error.message}",
                f"Register it with an example of its rows, and name that version: {source.name}@1.",
            ) from error
        if not width:
            raise bad_manifest(f"{source.where}: the model does not say what it takes", "Declare its inputs.")
        return None, {source.input: np.zeros((2, width))}


def _of_graph(data: bytes) -> Signature:
    """What an ONNX graph says that it takes and gives."""
    import onnxruntime

    words = {"tensor(float)": "FP32", "tensor(double)": "FP64", "tensor(int64)": "INT64", "tensor(int32)": "INT32"}
    words |= {"tensor(bool)": "BOOL", "tensor(string)": "BYTES"}
    session: Any = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])

    def specs(nodes: Sequence[Any]) -> tuple[TensorSpec, ...]:
        found: list[TensorSpec] = []
        for node in nodes:
            kind, shape = str(getattr(node, "type", "")), list(getattr(node, "shape", []))
            if kind not in words:
                raise Invalid(
                    f"the graph's tensor {getattr(node, 'name', '')!r} is a {kind}, which no request can carry",
                    code="model.signature_misfit",
                    hint="Export it without zipmap, with tensors of numbers, booleans or texts.",
                )
            rest = tuple(size if isinstance(size, int) else -1 for size in shape[1:])
            found.append(TensorSpec(name=str(getattr(node, "name", "")), datatype=words[kind], shape=(-1, *rest)))
        return tuple(found)

    return Signature(inputs=specs(session.get_inputs()), outputs=specs(session.get_outputs()))


def _specs(declared: tuple[tuple[str, str, tuple[int, ...]], ...]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(name=name, datatype=datatype, shape=(-1, *shape[1:]) if shape else (-1,))
        for name, datatype, shape in declared
    )


def _from_bucket(source: ModelSource) -> Mapping[str, bytes]:
    # Buckets are read with a library that no other manifest needs.
    from charkh.bridges.model_bucket import bucket_files

    found = bucket_files(source.uri, source.where, lambda name: name not in BESIDE, MAX_FILES)
    if len(found) > MAX_FILES:
        raise bad_manifest(f"{source.where}: {source.uri} holds more than {MAX_FILES} files, which is no model")
    if not found:
        raise NotFound(
            f"{source.where}: there is nothing at {source.uri}", code="manifest.no_model", hint="Mend the address."
        )
    return found
