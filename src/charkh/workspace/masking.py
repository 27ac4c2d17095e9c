"""The masks of an endpoint's log and keys of truth, and what both are hashed with: a file beside the store."""

import secrets
from pathlib import Path

from charkh.core.errors import Unavailable
from charkh.core.mask_settings import parse_mask
from charkh.endpoints.masks import Masks, canonical
from charkh.endpoints.truth import Keys, TruthTaker
from charkh.stores.durable import write_once
from charkh.workspace.workspace import Workspace

FILE = "mask.key"
KEY_BYTES = 32


def masks_of(workspace: Workspace, endpoint: str) -> Masks | None:
    """What may be recorded of the endpoint's requests; None where everything may.

    Raises:
        Unavailable: the key cannot be made or read; nothing is recorded without it.
    """
    settings = workspace.settings.endpoint.get(endpoint)
    if settings is None or not settings.mask:
        return None
    columns = {column: parse_mask(text) for column, text in settings.mask.items()}
    hashes = any(mask.way == "hash" for mask in columns.values())
    return Masks(columns, mask_key(workspace.store_folder) if hashes else b"")


def taker_of(workspace: Workspace) -> TruthTaker:
    """Takes truths about predictions of the workspace's endpoints; a key that the log hashes is hashed alike."""

    def keys_of(endpoint: str) -> Keys:
        settings = workspace.settings.endpoint.get(endpoint)
        column = "" if settings is None else settings.key
        masks = masks_of(workspace, endpoint)
        if masks is not None and column in masks.columns:
            return Keys(column, masks.digest)
        return Keys(column, _as_text)

    return TruthTaker(workspace.store, keys_of)


def _as_text(value: object) -> str | None:
    said = canonical(value)
    return None if said is None else said.decode("utf-8", "replace")


def mask_key(folder: Path) -> bytes:
    """The key of a store, made at the first call.

    Raises:
        Unavailable: the file cannot be written or read, or holds no key.
    """
    path = folder / FILE
    try:
        if not path.exists():
            write_once(path, secrets.token_hex(KEY_BYTES).encode())
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}", code="endpoint.mask_key") from error
    try:
        key = bytes.fromhex(path.read_text())
    except (OSError, ValueError) as error:
        raise Unavailable(f"cannot read {path}: {error}", code="endpoint.mask_key") from error
    if len(key) != KEY_BYTES:
        raise Unavailable(
            f"{path} holds no key",
            code="endpoint.mask_key",
            hint="Put back the file that was there: with another key, digests are others.",
        )
    return key
