"""A version's bill of materials: CycloneDX 1.6 (ECMA-424), with the model card that the standard has for models. Pure.

Everything in it is recorded, so equal versions give equal bytes: the serial number is made from the version's content
and the time is that of the registration.
"""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from charkh.models.model import ModelVersion
from charkh.ports.runtimes import TensorSpec

_PURL_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_+")


class Origin(NamedTuple):
    """A dataset version that the model was trained on: its subject, its name for people, and the root of its files."""

    subject: str
    ref: str
    root: str


def bill_of_materials(
    version: ModelVersion,
    files: Mapping[str, bytes],
    *,
    datasets: Sequence[Origin],
    run: str,
    description: str,
    tool: str,
) -> bytes:
    """The bill of a version as JSON.

    Args:
        version: what it is about.
        files: its content by path.
        datasets: that it was trained on.
        run: name of the run that made it, or empty.
        description: what its maker wrote, or empty.
        tool: the version of charkh that writes it.
    """
    made = version.made
    model: dict[str, Any] = {
        "type": "machine-learning-model",
        "bom-ref": version.subject,
        "name": made.name,
        "version": str(made.number),
        "properties": _properties(
            {
                "charkh:content": made.content,
                "charkh:files": made.tree.root,
                "charkh:runtime": made.runtime,
                "charkh:safety": made.safety.level,
                "charkh:run": f"run:{made.run}" if made.run else "",
                "charkh:run-name": run,
                "charkh:registered-by": version.actor,
            }
        ),
        "modelCard": _card(version, datasets),
    }
    if description:
        model["description"] = description
    parts = [*_files(version, files), *_libraries(made.libraries), *_datasets(datasets)]
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, f"charkh:{made.version}:{made.content}").urn,
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(version.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "tools": {"components": [{"type": "application", "name": "charkh", "version": tool}]},
            "component": model,
        },
        "components": parts,
        "dependencies": [
            {"ref": version.subject, "dependsOn": sorted(part["bom-ref"] for part in parts)},
            *({"ref": part["bom-ref"]} for part in parts),
        ],
    }
    return msgspec.json.format(msgspec.json.encode(bill), indent=2) + b"\n"


def _card(version: ModelVersion, datasets: Sequence[Origin]) -> dict[str, Any]:
    made = version.made
    parameters: dict[str, Any] = {
        "inputs": [{"format": _format(spec)} for spec in made.signature.inputs],
        "outputs": [{"format": _format(spec)} for spec in made.signature.outputs],
        "datasets": [{"ref": origin.subject} for origin in datasets],
    }
    card: dict[str, Any] = {"modelParameters": {name: value for name, value in parameters.items() if value}}
    metrics = [{"type": name, "value": str(value)} for name, value in sorted(version.metrics.items())]
    if metrics:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    return card


def _format(spec: TensorSpec) -> str:
    return f"{spec.name}: {spec.datatype}{list(spec.shape)}{', may be missing' if spec.optional else ''}"


def _files(version: ModelVersion, files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    return [
        {
            "type": "file",
            "bom-ref": f"{version.subject}#{path}",
            "name": path,
            "hashes": [
                {"alg": "SHA-256", "content": hashlib.sha256(files[path]).hexdigest()},
            ],
            "properties": _properties({"charkh:size": str(len(files[path]))}),
        }
        for path in sorted(files)
    ]


def _libraries(libraries: Mapping[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, number in sorted(libraries.items()):
        part: dict[str, Any] = {"type": "library", "bom-ref": f"library:{name}", "name": name, "version": number}
        if name == "python":
            part["type"] = "platform"
        elif set(name.lower()) | set(number.lower()) <= _PURL_CHARACTERS:
            part["purl"] = f"pkg:pypi/{name.lower().replace('_', '-')}@{number}"
        found.append(part)
    return found


def _datasets(datasets: Sequence[Origin]) -> list[dict[str, Any]]:
    return [
        {
            "type": "data",
            "bom-ref": origin.subject,
            "name": origin.ref,
            "data": [{"type": "dataset", "name": origin.ref}],
            "properties": _properties({"charkh:files": origin.root}),
        }
        for origin in sorted(set(datasets))
    ]


def _properties(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items() if value]
