"""The documents that people write, recipes and suites: read with a helpful error, begun but never written over."""

from pathlib import Path

from charkh.core.errors import Conflict, Invalid, NotFound


def read_document(path: Path, *, code: str, hint: str) -> str:
    """The text of a file.

    Raises:
        NotFound: there is no such file; with the given code and hint.
        Invalid: it is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", code=code, hint=hint) from error
    except UnicodeDecodeError as error:
        raise Invalid(f"{path} is no UTF-8 text", code="file.not_text", hint="Save it as UTF-8.") from error


def begin_document(path: Path, text: str) -> None:
    """Write a file that is not there yet, and its folders.

    Raises:
        Conflict: it is there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise Conflict(f"{path} is there already", code="file.exists", hint="Choose another name.") from error
