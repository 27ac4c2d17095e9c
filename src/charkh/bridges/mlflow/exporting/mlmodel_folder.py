"""Placeholder until the model folder is written."""

from charkh.models.files import read_files
from charkh.models.model import ModelVersion
from charkh.ports.store import Store


def version_files(store: Store, version: ModelVersion) -> dict[str, bytes]:
    return dict(read_files(store, version))
