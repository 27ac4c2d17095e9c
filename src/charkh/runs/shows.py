"""What a run is shown with besides numbers: the methods of `ActiveRun` for texts, tables, pictures, sounds, figures."""

import logging
from collections.abc import Mapping
from typing import Any

from charkh.core.errors import Invalid
from charkh.core.redact import redact
from charkh.runs.media_log import MediaLog

_log = logging.getLogger("charkh")


class Shows:
    """The media of a run in progress.

    Each call is one encoding and one append to this process's own segment on the local disk; the run's end seals them.
    Without a step, items of a key count for themselves. Only what is of the wrong type raises `Invalid`: what is too
    large (32 MiB an item), what cannot be read and what a disk does not take is reported once, and the run shows as
    incomplete.
    """

    _media: MediaLog

    def log_text(self, key: str, text: str, *, step: int | None = None) -> None:
        """Log a text, without the credentials in it.

        Raises:
            Invalid: it is no text, or the run has ended.
        """
        if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise Invalid(
                f"{key!r} is {type(text).__name__}, not text", code="run.bad_media", hint="Log str(value), or a table."
            )
        data = redact(text).encode("utf-8", "replace")
        self.log_media(key, "text", data, step=step, mime="text/plain; charset=utf-8")

    def log_table(self, key: str, table: Any, *, step: int | None = None) -> None:
        """Log a small table: a frame of Polars, pandas or PyArrow, columns by name, or a list of rows by name.

        The first 10,000 rows are kept; what is to be worked with is a dataset or an artifact.

        Raises:
            Invalid: it is no table, or the run has ended.
        """
        # The encoders are loaded by whoever uses one: a run that logs numbers alone starts without them.
        from charkh.runs.tabulate import encode_table

        found = encode_table(table)
        self.log_media(key, "table", found.payload, step=step, mime=found.mime, details=found.details)

    def log_image(self, key: str, image: Any, *, step: int | None = None) -> None:
        """Log a picture: a path, the bytes of a PNG or JPEG, an array or tensor, a picture of PIL or Matplotlib.

        An array is height by width, or with 1 to 4 channels, last or first: whole numbers from 0 to 255, floats from
        0 to 1.

        Raises:
            Invalid: it is no picture, or the run has ended.
        """
        from charkh.runs.pictures import encode_image  # see `log_table`

        try:
            found = encode_image(image)
        except OSError as error:
            self._media.drop(f"{key!r} cannot be read: {error}")
            return
        self.log_media(key, "image", found.payload, step=step, mime=found.mime, details=found.details)

    def log_audio(self, key: str, samples: Any, rate: int = 0, *, step: int | None = None) -> None:
        """Log a sound: samples at `rate` a second, or a path or the bytes of a WAV, MP3, FLAC or Ogg file.

        Samples are floats from -1 to 1 or whole numbers of 16 bits, one a moment or one for each channel.

        Raises:
            Invalid: it is no sound, or the run has ended.
        """
        from charkh.runs.sounds import encode_audio  # see `log_table`

        try:
            found = encode_audio(samples, rate)
        except OSError as error:
            self._media.drop(f"{key!r} cannot be read: {error}")
            return
        self.log_media(key, "audio", found.payload, step=step, mime=found.mime, details=found.details)

    def log_histogram(self, key: str, values: Any, *, step: int | None = None) -> None:
        """Log how values are distributed: numbers of any shape, in 64 equal bins, or a pair of counts and edges.

        Raises:
            Invalid: these are no numbers, or the run has ended.
        """
        from charkh.runs.histograms import encode_histogram  # see `log_table`

        found = encode_histogram(values)
        self.log_media(key, "histogram", found.payload, step=step, mime=found.mime, details=found.details)

    def log_figure(self, key: str, figure: Any, *, step: int | None = None) -> None:
        """Log a figure: Matplotlib's as a PNG, Plotly's and Altair's as their JSON.

        Raises:
            Invalid: it is no figure, or the run has ended.
        """
        from charkh.runs.pictures import encode_figure  # see `log_table`

        found = encode_figure(figure)
        self.log_media(key, "figure", found.payload, step=step, mime=found.mime, details=found.details)

    def log_media(
        self,
        key: str,
        kind: str,
        payload: bytes,
        *,
        step: int | None = None,
        time: float | None = None,
        mime: str = "application/octet-stream",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Log bytes of any kind that a run can show: what all the others end in.

        Args:
            key: names the series, such as `samples/first`.
            kind: text, table, image, audio, histogram, figure, pr_curve, embedding, graph, mesh or file.
            payload: at most 32 MiB.
            step: such as the batch or epoch; counted without it.
            time: seconds since the epoch; now by default.
            mime: media type of the payload.
            details: what is known of it, as JSON values, at most 16 KiB.

        Raises:
            Invalid: a name, kind, step or type is wrong, or the run has ended.
        """
        self._media.log(key, kind, payload, step=step, moment=time, mime=mime, details=details or {})
