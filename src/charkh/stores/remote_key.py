"""The key of an encrypted remote: a line in a file or a variable, made once and shared by who syncs with it."""

import os
import re
import secrets
from pathlib import Path

from charkh.core.errors import Conflict, Invalid, NotFound, Unavailable

KEY_BYTES = 32
KEY_LINE = "charkh remote key 1: "
MAKE_KEY = "Make one with `charkh remote new-key FILE`, or ask whoever set the remote up for the file."
_LINE = re.compile(re.escape(KEY_LINE) + r"([0-9a-f]{64})")


def read_key(key: str, base: Path) -> bytes:
    """The key that settings name.

    Args:
        key: a file's path, or `env:NAME`.
        base: the folder that a path is relative to.

    Raises:
        NotFound: there is no such file or variable.
        Invalid: it holds no key.
    """
    scheme, _, variable = key.partition(":")
    if scheme == "env" and variable:
        text = os.environ.get(variable, "")
        if not text:
            raise NotFound(f"the variable {variable} has no key", code="remote.no_key", hint=MAKE_KEY)
    else:
        path = base / Path(key).expanduser()
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise NotFound(f"there is no key file {path}", code="remote.no_key", hint=MAKE_KEY) from error
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(
                f"cannot read the key file {path}", code="remote.no_key", hint="Look at its permissions and content."
            ) from error
    match = _LINE.search(text)
    if match is None:
        raise Invalid("what the settings name as the key holds none", code="remote.bad_key", hint=MAKE_KEY)
    return bytes.fromhex(match[1])


def write_new_key(path: Path) -> None:
    """Write a fresh key into a file that only its owner can read.

    Raises:
        Conflict: there is something in that place.
        OSError: it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise Conflict(f"{path} is there already", code="remote.key_exists", hint="Name another file.") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{KEY_LINE}{secrets.token_hex(KEY_BYTES)}\n")
        file.flush()
        os.fsync(file.fileno())
