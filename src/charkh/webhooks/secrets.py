"""What only the sender may know of a webhook: its secret, and an address that is one. Outside the journal.

One file below the store's folder that its owner alone can read. Nothing here is ever shown, and nothing in it is
expanded: a secret that reads `$HOME` is these five characters.
"""

import base64
import binascii
import contextlib
import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from charkh.core.errors import Corrupt, Invalid, Unavailable

PREFIX = "whsec_"
"""How a secret begins that is base64 (Standard Webhooks); any other text is the key itself."""
LEAST, MOST = 8, 1000
"""Characters of a secret."""


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of one webhook: the key of its signatures, and the whole address where the event has not got it."""

    secret: str = ""
    url: str = ""


class SecretFile:
    """The secrets of one store.

    Args:
        path: of the file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, webhook: str) -> Kept:
        """What is kept of a webhook, all of it empty where nothing is."""
        return self._read().get(webhook, Kept())

    def put(self, webhook: str, kept: Kept) -> None:
        """Keep something in the place of what was there.

        Raises:
            Unavailable: the file cannot be written.
        """
        self._write({**self._read(), webhook: kept})

    def remove(self, webhook: str) -> None:
        """Forget what is kept of a webhook."""
        known = self._read()
        if webhook in known:
            self._write({name: kept for name, kept in known.items() if name != webhook})

    def _read(self) -> Mapping[str, Kept]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, Kept])
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise Unavailable(f"cannot read {self._path}: {error.strerror}", code="webhook.secrets") from error
        except msgspec.MsgspecError as error:
            raise Corrupt(
                f"{self._path} is damaged",
                code="webhook.secrets_damaged",
                hint="Remove it, and give every webhook its secret again: charkh webhook change NAME --secret-file F",
            ) from error

    def _write(self, known: Mapping[str, Kept]) -> None:
        try:
            descriptor, name = tempfile.mkstemp(prefix=".webhooks-", dir=self._path.parent)  # 0600 from the start
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(msgspec.json.encode(known))
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(self._path)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    Path(name).unlink()
                raise
        except OSError as error:
            raise Unavailable(f"cannot write {self._path}: {error.strerror}", code="webhook.secrets") from error


def new_secret() -> str:
    """A secret in the form of Standard Webhooks: 24 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()


def checked_secret(secret: str) -> str:
    """A secret that can sign.

    Raises:
        Invalid: too short, too long, or `whsec_` before what is no base64.
    """
    if not LEAST <= len(secret) <= MOST:
        raise Invalid(
            f"a secret has {LEAST} to {MOST} characters, this one {len(secret)}",
            code="webhook.secret",
            hint="Leave it out, and one is made.",
        )
    key_of(secret)
    return secret


def key_of(secret: str) -> bytes:
    """The key of the signatures."""
    if not secret.startswith(PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Invalid(
            f"what follows {PREFIX} is not base64", code="webhook.secret", hint="Leave it out, and one is made."
        ) from error
