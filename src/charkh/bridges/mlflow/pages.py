"""Page tokens: where the next page of an answer begins, in MLflow's form."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, TypeVar, cast

import msgspec

from charkh.bridges.mlflow.envelope import invalid

Item = TypeVar("Item")


def start_of(token: str) -> int:
    """The place at which a page begins; 0 without a token.

    Raises:
        MlflowError: it is no token.
    """
    if not token:
        return 0
    found = fields_of(token)
    offset = found.get("offset")
    if not isinstance(offset, int) or isinstance(offset, bool) or not 0 < offset < 1 << 53:
        raise invalid(f"Invalid page token, parsed value={found}")
    return offset


def fields_of(token: str) -> dict[str, Any]:
    """What a token holds.

    Raises:
        MlflowError: it is no token.
    """
    try:
        decoded = base64.b64decode(token.encode(), validate=True)
    except (binascii.Error, UnicodeEncodeError, ValueError) as error:
        raise invalid("Invalid page token, could not base64-decode") from error
    try:
        found: Any = msgspec.json.decode(decoded)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid("Invalid page token, it holds no JSON") from error
    if not isinstance(found, dict):
        raise invalid("Invalid page token, it holds no JSON object")
    return cast(dict[str, Any], found)


def token_of(offset: int, **more: object) -> str:
    """The token of the page that begins at `offset`."""
    return base64.b64encode(msgspec.json.encode({"offset": offset, **more})).decode()


def page(items: Sequence[Item], token: str, size: int) -> tuple[Sequence[Item], str]:
    """The page that `token` names, and the token of the next one; empty after the last."""
    start = start_of(token)
    end = start + size
    return items[start:end], token_of(end) if end < len(items) else ""


def more(token: str) -> dict[str, str]:
    """What an answer says of the next page; nothing after the last."""
    return {"next_page_token": token} if token else {}
