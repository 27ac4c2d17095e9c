"""Pictures and figures of other libraries as bytes; a library is only used where the caller's value is of it."""

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from charkh.core.errors import Invalid
from charkh.core.redact import redact
from charkh.runs.png import encode_png

FIGURE_JSON = {
    "plotly": "application/vnd.plotly.v1+json",
    "altair": "application/vnd.vega-lite.v5+json",
}
"""Media type by the library whose figures have a JSON form."""

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
)
_PLAIN_MODES = frozenset({"1", "L", "LA", "P", "RGB", "RGBA", "I;16"})


class Encoded(NamedTuple):
    """Bytes, their media type, and what is known of them."""

    payload: bytes
    mime: str
    details: dict[str, Any]


def encode_image(image: Any) -> Encoded:
    """A picture from a path, the bytes of a PNG, JPEG, GIF, WebP or BMP, an array, a tensor, PIL or Matplotlib.

    Raises:
        Invalid: it is none of these.
        OSError: the file cannot be read.
    """
    if isinstance(image, str | os.PathLike):
        image = read_file(cast("str | os.PathLike[str]", image))
    if isinstance(image, bytes | bytearray | memoryview):
        return _sniffed(bytes(cast("bytes | bytearray", image)))
    figure = _figure_of(image)
    if figure is not None:
        return _matplotlib(figure)
    if callable(getattr(image, "save", None)) and isinstance(getattr(image, "mode", None), str):
        return _pil(image)
    tensor = getattr(image, "detach", None)
    if callable(tensor):
        plain: Any = tensor()
        image = plain.cpu().numpy()
    if not hasattr(image, "__array__"):
        raise _no_image(image)
    picture = encode_png(image)
    return Encoded(picture.data, "image/png", {"width": picture.width, "height": picture.height})


def encode_figure(figure: Any) -> Encoded:
    """A figure of Matplotlib as a PNG, one of Plotly or Altair as their own JSON.

    Raises:
        Invalid: it is none of these.
    """
    found = _figure_of(figure)
    if found is not None:
        return _matplotlib(found)
    library = type(figure).__module__.partition(".")[0]
    to_json = getattr(figure, "to_json", None)
    if library in FIGURE_JSON and callable(to_json):
        return Encoded(redact(str(to_json())).encode("utf-8", "replace"), FIGURE_JSON[library], {})
    raise Invalid(
        f"{type(figure).__name__} is no figure",
        code="run.bad_media",
        hint="Give a figure of Matplotlib, Plotly or Altair; a picture of it goes to log_image.",
    )


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a file.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except ValueError as error:
        # No file system has such a name.
        raise OSError(f"{error}: {path!r}") from error


def png_size(data: bytes) -> Mapping[str, int]:
    """Width and height by the header of a PNG."""
    return {"width": int.from_bytes(data[16:20], "big"), "height": int.from_bytes(data[20:24], "big")}


def _figure_of(value: Any) -> Any:
    """Matplotlib's figure that a figure, an axes or the module `pyplot` means; None for anything else."""
    if getattr(value, "__name__", "") == "matplotlib.pyplot":
        return value.gcf()
    if not type(value).__module__.startswith(("matplotlib.", "seaborn.", "mpl_toolkits.")):
        return None
    if callable(getattr(value, "savefig", None)):
        return value
    figure = getattr(value, "figure", None)
    return figure if callable(getattr(figure, "savefig", None)) else None


def _matplotlib(figure: Any) -> Encoded:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    data = buffer.getvalue()
    return Encoded(data, "image/png", dict(png_size(data)))


def _pil(image: Any) -> Encoded:
    buffer = io.BytesIO()
    plain = image if image.mode in _PLAIN_MODES else image.convert("RGB")
    plain.save(buffer, format="PNG")
    width, height = plain.size
    return Encoded(buffer.getvalue(), "image/png", {"width": int(width), "height": int(height)})


def _sniffed(data: bytes) -> Encoded:
    for signature, mime in _SIGNATURES:
        if data.startswith(signature):
            return Encoded(data, mime, dict(png_size(data)) if mime == "image/png" and len(data) >= 24 else {})
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Encoded(data, "image/webp", {})
    raise Invalid(
        "the bytes are no picture that a browser shows",
        code="run.bad_media",
        hint="Give PNG, JPEG, GIF, WebP or BMP; add anything else as an artifact.",
    )


def _no_image(value: object) -> Invalid:
    return Invalid(
        f"{type(value).__name__} is no picture",
        code="run.bad_media",
        hint="Give a path, the bytes of a PNG or JPEG, an array, or a picture of PIL or Matplotlib.",
    )
