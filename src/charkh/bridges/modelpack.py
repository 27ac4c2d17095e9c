"""Export a model version as an OCI image layout in the form of the CNCF ModelPack specification (model-spec v0.0.7).

Sources: OCI image-spec v1.1 (image layout, manifest, descriptor) and https://github.com/modelpack/model-spec (media
types, `org.cncf.model.filepath`, config schema). Every file is a raw layer of its own, so nothing is compressed and
the digest of a layer is that of the file. Equal versions give equal bytes.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from charkh.models.model import ModelVersion

LAYOUT_FILE = "oci-layout"
INDEX_FILE = "index.json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
ARTIFACT_TYPE = "application/vnd.cncf.model.manifest.v1+json"
CONFIG_TYPE = "application/vnd.cncf.model.config.v1+json"
WEIGHT_TYPE = "application/vnd.cncf.model.weight.v1.raw"
SETTINGS_TYPE = "application/vnd.cncf.model.weight.config.v1.raw"
DOCUMENT_TYPE = "application/vnd.cncf.model.doc.v1.raw"
CODE_TYPE = "application/vnd.cncf.model.code.v1.raw"
FILE_PATH = "org.cncf.model.filepath"
_TYPES = {
    ".md": DOCUMENT_TYPE,
    ".txt": DOCUMENT_TYPE,
    ".pdf": DOCUMENT_TYPE,
    ".py": CODE_TYPE,
    ".yaml": SETTINGS_TYPE,
    ".yml": SETTINGS_TYPE,
    ".toml": SETTINGS_TYPE,
}


def image_layout(
    version: ModelVersion, files: Mapping[str, bytes], *, extra: Mapping[str, bytes] | None = None, licence: str = ""
) -> dict[str, bytes]:
    """The files of an image layout by path.

    Args:
        version: what is exported.
        files: its content by path.
        extra: documents beside it by path, such as the card and the signature; the model's own files come first.
        licence: SPDX identifier, or empty.
    """
    content = {**(extra or {}), **files}
    layout: dict[str, bytes] = {}
    layers: list[dict[str, Any]] = []
    # Weights first, as the specification recommends for what is pulled in parallel.
    for path in sorted(content, key=lambda each: (each not in files, each)):
        layers.append(_blob(layout, _layer_type(path, path in files), content[path], {FILE_PATH: path}))
    config = _blob(layout, CONFIG_TYPE, _json(_config(version, layers, licence)))
    annotations = {
        "org.opencontainers.image.created": _time(version),
        "org.opencontainers.image.title": version.made.name,
        "org.opencontainers.image.version": str(version.made.number),
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": ARTIFACT_TYPE,
        "config": config,
        "layers": layers,
        "annotations": annotations,
    }
    described = _blob(layout, MANIFEST_TYPE, _json(manifest))
    described["artifactType"] = ARTIFACT_TYPE
    described["annotations"] = {"org.opencontainers.image.ref.name": f"v{version.made.number}"}
    layout[INDEX_FILE] = _json({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [described]})
    layout[LAYOUT_FILE] = _json({"imageLayoutVersion": "1.0.0"})
    return layout


def _config(version: ModelVersion, layers: list[dict[str, Any]], licence: str) -> dict[str, Any]:
    made = version.made
    descriptor: dict[str, Any] = {
        "createdAt": _time(version),
        "authors": [version.actor],
        "name": made.name,
        "version": str(made.number),
        "revision": made.content,
        "title": version.ref,
    }
    if licence:
        descriptor["licenses"] = [licence]
    return {
        "descriptor": descriptor,
        "config": {"format": made.runtime},
        "modelfs": {"type": "layers", "diffIds": [layer["digest"] for layer in layers]},
    }


def _layer_type(path: str, own: bool) -> str:
    if not own:
        return DOCUMENT_TYPE
    suffix = path[path.rfind(".") :] if "." in path else ""
    return _TYPES.get(suffix, WEIGHT_TYPE)


def _blob(
    layout: dict[str, bytes], media_type: str, data: bytes, annotations: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Put bytes among the blobs of a layout; the descriptor that names them."""
    digest = hashlib.sha256(data).hexdigest()
    layout[f"blobs/sha256/{digest}"] = data
    found: dict[str, Any] = {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}
    return {**found, "annotations": dict(annotations)} if annotations else found


def _time(version: ModelVersion) -> str:
    return datetime.fromtimestamp(version.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _json(value: object) -> bytes:
    return msgspec.json.encode(value)
