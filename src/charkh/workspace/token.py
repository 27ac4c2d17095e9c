"""The token of a store: a file that only its owner can read, made at the first need."""

import secrets
from pathlib import Path

from charkh.core.errors import Unavailable
from charkh.stores.durable import write_once


def token_of(folder: Path) -> str:
    """The token of a store, made at the first call; the SDK and the command line read the same file.

    Processes: of several that make it at once, all get the same.

    Raises:
        Unavailable: the file cannot be written or read, or holds nothing.
    """
    path = folder / "token"
    try:
        if not path.exists():
            write_once(path, secrets.token_urlsafe(32).encode())
        token = path.read_text().strip()
    except OSError as error:
        raise Unavailable(f"cannot write or read {path}: {error.strerror}", code="server.token") from error
    if not token:
        raise Unavailable(f"{path} holds no token", code="server.token", hint="Remove it: a new one is made.")
    return token
