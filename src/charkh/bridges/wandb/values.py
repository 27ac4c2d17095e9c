"""What a script wraps to be shown: pictures, tables, sounds, films and pages, as items of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from charkh.core.redact import redact
from charkh.runs.histograms import encode_histogram
from charkh.runs.pictures import encode_figure, encode_image
from charkh.runs.sounds import encode_audio
from charkh.runs.tabulate import encode_table

MAX_CAPTION = 1000


class Shown(NamedTuple):
    """One item, as `ActiveRun.log_media` takes it."""

    kind: str
    payload: bytes
    mime: str
    details: dict[str, Any]


class Showable:
    """A value that is shown and not drawn as a curve."""

    def shown(self) -> Shown:
        """The item; it is encoded here and now, so that what the script changes later changes nothing."""
        raise NotImplementedError


class Image(Showable):
    """A picture: a path, an array, a figure or a picture of PIL.

    Args:
        data_or_path: the picture.
        mode: taken for the sake of scripts.
        caption: stands below it.
        boxes, masks: kept beside it, as far as they are plain values.
    """

    def __init__(
        self,
        data_or_path: Any,
        mode: str | None = None,
        caption: str | None = None,
        grouping: int | None = None,
        classes: Any = None,
        boxes: Mapping[str, Any] | None = None,
        masks: Mapping[str, Any] | None = None,
        file_type: str | None = None,
        **_more: Any,
    ) -> None:
        del mode, grouping, classes, masks, file_type
        found = encode_image(data_or_path.image if isinstance(data_or_path, Image) else data_or_path)
        self.image = found.payload
        self.caption = caption
        details = {**found.details, **_caption(caption)}
        if boxes:
            encoded = msgspec.json.encode(boxes, enc_hook=str)
            details["boxes"] = msgspec.json.decode(encoded) if len(encoded) < 8000 else {}
        self._shown = Shown("image", found.payload, found.mime, details)

    def shown(self) -> Shown:
        """See `Showable`."""
        return self._shown


class Table(Showable):
    """A small table.

    Args:
        columns: names.
        data: rows.
        dataframe: a frame of pandas or Polars in place of both.
        rows: another name for `data`.
    """

    def __init__(
        self,
        columns: Sequence[str] | None = None,
        data: Any = None,
        rows: Any = None,
        dataframe: Any = None,
        **_more: Any,
    ) -> None:
        given = rows if data is None else data
        if dataframe is None and given is not None and hasattr(given, "columns"):
            dataframe, given = given, None
        self.frame = dataframe
        listed = list(cast(Sequence[Any], given)) if given is not None else []
        width = max((len(row) for row in listed), default=0)
        self.columns = [str(each) for each in columns] if columns is not None else [str(n) for n in range(width)]
        self.data: list[list[Any]] = [list(row) for row in listed]

    def add_data(self, *row: Any) -> None:
        """Add a row."""
        self.data.append(list(row))

    def add_column(self, name: str, data: Sequence[Any]) -> None:
        """Add a column, a value for each row."""
        values = list(data)
        if not self.data:
            self.data = [[] for _ in values]
        for row, value in zip(self.data, values, strict=True):
            row.append(value)
        self.columns.append(str(name))

    def get_column(self, name: str) -> list[Any]:
        """The values of a column."""
        place = self.columns.index(name)
        return [row[place] for row in self.data]

    def shown(self) -> Shown:
        """See `Showable`; pictures in cells stand as their captions."""
        if self.frame is not None:
            table: Any = self.frame
        else:
            rows = [[_cell(cell) for cell in row] + [None] * (len(self.columns) - len(row)) for row in self.data]
            table = {name: [row[place] for row in rows] for place, name in enumerate(self.columns)}
        found = encode_table(table)
        return Shown("table", found.payload, found.mime, found.details)


class Histogram(Showable):
    """How values are distributed: a sequence of them, or what `numpy.histogram` gives."""

    def __init__(self, sequence: Any = None, np_histogram: Any = None, num_bins: int = 64) -> None:
        del num_bins
        found = encode_histogram(tuple(np_histogram) if np_histogram is not None else sequence)
        self._shown = Shown("histogram", found.payload, found.mime, found.details)

    def shown(self) -> Shown:
        """See `Showable`."""
        return self._shown


class Audio(Showable):
    """A sound: a path, or samples at a rate."""

    def __init__(self, data_or_path: Any, sample_rate: int | None = None, caption: str | None = None) -> None:
        found = encode_audio(data_or_path, sample_rate or 0)
        self._shown = Shown("audio", found.payload, found.mime, {**found.details, **_caption(caption)})

    def shown(self) -> Shown:
        """See `Showable`."""
        return self._shown


class Html(Showable):
    """A page: its text, a path of a file, or an open one."""

    def __init__(self, data: Any, inject: bool = True, data_is_not_path: bool = False) -> None:
        del inject
        if callable(getattr(data, "read", None)):
            text = str(data.read())
        elif not data_is_not_path and str(data).endswith(".html") and Path(str(data)).is_file():
            text = Path(str(data)).read_text("utf-8", "replace")
        else:
            text = str(data)
        self.html = text
        self._shown = Shown("file", redact(text).encode("utf-8", "replace"), "text/html; charset=utf-8", {})

    def shown(self) -> Shown:
        """See `Showable`."""
        return self._shown


class Video(Showable):
    """A film: a path, or an array of time by channels by height by width, as an animated PNG."""

    def __init__(
        self,
        data_or_path: Any,
        caption: str | None = None,
        fps: float | None = None,
        format: str | None = None,
        **_more: Any,
    ) -> None:
        if isinstance(data_or_path, str | Path):
            path = Path(data_or_path)
            mime = f"video/{(format or path.suffix.lstrip('.') or 'mp4').lower()}"
            self._shown = Shown("file", path.read_bytes(), mime, _caption(caption))
            return
        # NumPy, which a script that shows a film has loaded.
        from charkh.bridges.tensorboard.pixels import encode_film, to_array, to_pictures

        array = to_array(data_or_path)
        frames = to_pictures(array[0] if array.ndim == 5 else array, "NCHW")
        details = {"width": frames[0].shape[1], "height": frames[0].shape[0], "frames": len(frames)}
        self._shown = Shown("image", encode_film(frames, fps or 4), "image/apng", {**details, **_caption(caption)})

    def shown(self) -> Shown:
        """See `Showable`."""
        return self._shown


class Plotly(Showable):
    """A figure of Plotly, Altair or Matplotlib."""

    def __init__(self, val: Any) -> None:
        found = encode_figure(val)
        self._shown = Shown("figure", found.payload, found.mime, found.details)

    def shown(self) -> Shown:
        """See `Showable`."""
        return self._shown


def as_shown(value: Any) -> Showable | None:
    """A value that a script logged as it is, as one that is shown: figures, frames, pictures; None for others."""
    if isinstance(value, Showable):
        return value
    library = type(value).__module__.partition(".")[0]
    if library in {"plotly", "altair", "matplotlib"}:
        return Plotly(value)
    if library in {"pandas", "polars"} and hasattr(value, "columns"):
        return Table(dataframe=value)
    return Image(value) if library == "PIL" else None


def _caption(caption: str | None) -> dict[str, Any]:
    return {"caption": redact(str(caption))[:MAX_CAPTION]} if caption else {}


def _cell(value: Any) -> Any:
    if isinstance(value, Showable):
        return value.shown().details.get("caption", type(value).__name__)
    return value
