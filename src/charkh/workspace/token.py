"""The token of a store: a file that only its owner can read, made at the first need."""

import os
import secrets
from pathlib import Path

from charkh.core.errors import Unavailable


def token_of(folder: Path) -> str:
    """The token of a store, made at the first call; the SDK and the command line read the same file.

    Raises:
        Unavailable: the file cannot be written or read.
    """
    path = folder / "token"
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(32))
    except FileExistsError:
        pass
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}", code="server.token") from error
    return path.read_text().strip()
