"""The part of `SummaryWriter` that shows: histograms, pictures, films, figures, sounds, texts and curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgspec
import numpy as np

from charkh.bridges.tensorboard.curves import count_pr_curve
from charkh.bridges.tensorboard.media import ARRAY_MIME, MESH_PARTS, PR_CURVE_MIME, Item, npy, pr_curve_payload
from charkh.bridges.tensorboard.pixels import encode_film, to_array, to_pictures, with_boxes
from charkh.bridges.tensorboard.sink import Sink
from charkh.core.errors import Invalid
from charkh.core.redact import redact
from charkh.runs.histograms import MIME as HISTOGRAM_MIME
from charkh.runs.histograms import encode_histogram
from charkh.runs.pictures import encode_figure, encode_image
from charkh.runs.sounds import encode_audio


class MediaWriter:
    """Methods and arguments are those of PyTorch's and tensorboardX's writers; see `writer.SummaryWriter`."""

    _sink: Sink

    def add_tensor(self, tag: str, tensor: Any, global_step: int | None = None, walltime: float | None = None) -> None:
        """Keep a tensor as a NumPy file."""
        array = to_array(tensor)
        self._sink.show(Item(tag, "file", ARRAY_MIME, npy(array), {"shape": list(array.shape)}), global_step, walltime)

    def add_histogram(
        self,
        tag: str,
        values: Any,
        global_step: int | None = None,
        bins: Any = "tensorflow",
        walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:
        """Log how values are distributed; `bins` as `numpy.histogram` has it, or 64 equal ones."""
        array = to_array(values).ravel().astype(np.float64)
        given: Any = array
        if not isinstance(bins, str) or bins not in {"tensorflow", "auto"}:
            finite = array[np.isfinite(array)]
            counts, edges = np.histogram(finite, bins if max_bins is None or not isinstance(bins, int) else max_bins)
            given = (counts, edges)
        found = encode_histogram(given)
        details = {**found.details, "sum": float(np.nansum(array)), "sum_squares": float(np.nansum(array * array))}
        self._sink.show(Item(tag, "histogram", found.mime, found.payload, details), global_step, walltime)

    def add_histogram_raw(
        self,
        tag: str,
        min: float,
        max: float,
        num: float,
        sum: float,
        sum_squares: float,
        bucket_limits: Sequence[float],
        bucket_counts: Sequence[float],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Log a histogram as it was counted: a count for each right limit of a bin."""
        limits, counts = list(map(float, bucket_limits)), list(map(float, bucket_counts))
        if len(limits) != len(counts) or not limits:
            raise Invalid(
                f"{len(limits)} limits and {len(counts)} counts make no histogram",
                code="tensorboard.bad_histogram",
                hint="Give as many limits as counts.",
            )
        edges = [limits[0] if limits[0] < min else float(min), *limits]
        payload = msgspec.json.encode({"counts": counts, "edges": edges})
        details = {"count": int(num), "bins": len(counts), "low": float(min), "high": float(max)}
        details |= {"sum": float(sum), "sum_squares": float(sum_squares)}
        self._sink.show(Item(tag, "histogram", HISTOGRAM_MIME, payload, details), global_step, walltime)

    def add_image(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:
        """Log a picture."""
        self._pictures(tag, to_pictures(img_tensor, dataformats), global_step, walltime, {})

    def add_images(
        self,
        tag: str,
        img_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:
        """Log pictures of one step, each as a sample of its own."""
        self._pictures(tag, to_pictures(img_tensor, dataformats), global_step, walltime, {})

    def add_image_with_boxes(
        self,
        tag: str,
        img_tensor: Any,
        box_tensor: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        rescale: float = 1,
        dataformats: str = "CHW",
        labels: Sequence[str] | None = None,
        **_more: Any,
    ) -> None:
        """Log a picture with boxes (left, top, right, bottom) drawn into it; they and their labels stand beside it."""
        del rescale
        boxes = to_array(box_tensor)
        pictures = [with_boxes(each, boxes) for each in to_pictures(img_tensor, dataformats)]
        beside: dict[str, Any] = {"boxes": boxes.tolist()[:100]}
        if labels is not None:
            beside["labels"] = [str(each)[:100] for each in labels][:100]
        self._pictures(tag, pictures, global_step, walltime, beside)

    def add_figure(
        self,
        tag: str,
        figure: Any,
        global_step: int | None = None,
        close: bool = True,
        walltime: float | None = None,
    ) -> None:
        """Log a figure of Matplotlib, Plotly or Altair, or several."""
        figures = list(cast(Sequence[Any], figure)) if isinstance(figure, list | tuple) else [figure]
        for place, each in enumerate(figures):
            found = encode_figure(each)
            sample = {"sample": place} if len(figures) > 1 else {}
            self._sink.show(
                Item(tag, "figure", found.mime, found.payload, {**found.details, **sample}), global_step, walltime
            )
            if close and type(each).__module__.startswith("matplotlib"):
                import matplotlib.pyplot as plt  # pyright: ignore[reportMissingImports] - whose figure it is

                plt.close(each)  # pyright: ignore[reportUnknownMemberType]

    def add_video(
        self,
        tag: str,
        vid_tensor: Any,
        global_step: int | None = None,
        fps: float = 4,
        walltime: float | None = None,
        dataformats: str = "NTCHW",
    ) -> None:
        """Log films as animated PNGs."""
        array = to_array(vid_tensor)
        layout = dataformats.upper()
        if "T" not in layout or array.ndim != len(layout):
            raise Invalid(
                f"an array of shape {array.shape} is no film of layout {dataformats!r}",
                code="tensorboard.bad_layout",
                hint="Say a letter for each axis, such as NTCHW.",
            )
        films = np.moveaxis(array, layout.index("N"), 0) if "N" in layout else array[None]
        rest = layout.replace("N", "")
        for place, film in enumerate(films):
            frames = to_pictures(film, rest.replace("T", "N"))
            sample = {"sample": place} if len(films) > 1 else {}
            details = {"width": frames[0].shape[1], "height": frames[0].shape[0], "frames": len(frames), **sample}
            self._sink.show(Item(tag, "image", "image/apng", encode_film(frames, fps), details), global_step, walltime)

    def add_audio(
        self,
        tag: str,
        snd_tensor: Any,
        global_step: int | None = None,
        sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:
        """Log a sound: samples from -1 to 1."""
        found = encode_audio(np.squeeze(to_array(snd_tensor)), int(sample_rate))
        self._sink.show(Item(tag, "audio", found.mime, found.payload, found.details), global_step, walltime)

    def add_text(
        self, tag: str, text_string: str, global_step: int | None = None, walltime: float | None = None
    ) -> None:
        """Log a text, Markdown."""
        payload = redact(str(text_string)).encode("utf-8", "replace")
        self._sink.show(Item(tag, "text", "text/markdown; charset=utf-8", payload, {}), global_step, walltime)

    def add_pr_curve(
        self,
        tag: str,
        labels: Any,
        predictions: Any,
        global_step: int | None = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Log precision and recall over thresholds, counted from labels and predictions."""
        rows = count_pr_curve(to_array(labels), to_array(predictions), num_thresholds, weights)
        self._pr_curve(tag, rows, global_step, walltime)

    def add_pr_curve_raw(
        self,
        tag: str,
        true_positive_counts: Any,
        false_positive_counts: Any,
        true_negative_counts: Any,
        false_negative_counts: Any,
        precision: Any,
        recall: Any,
        global_step: int | None = None,
        num_thresholds: int = 127,
        weights: Any = None,
        walltime: float | None = None,
    ) -> None:
        """Log precision and recall over thresholds as they were counted."""
        del num_thresholds, weights
        counted = (true_positive_counts, false_positive_counts, true_negative_counts, false_negative_counts)
        rows = np.stack([to_array(each).astype(np.float64) for each in (*counted, precision, recall)])
        self._pr_curve(tag, rows, global_step, walltime)

    def add_mesh(
        self,
        tag: str,
        vertices: Any,
        colors: Any = None,
        faces: Any = None,
        config_dict: Any = None,
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Log a mesh or point cloud: vertices (batch, number, 3), and colours and faces where they are given."""
        given = {"vertices": vertices, "faces": faces, "colors": colors}
        arrays = {part: to_array(each) for part, each in given.items() if each is not None}
        # Which parts there are: the plugin's own bits, one by the number of each kind of content.
        components = sum(1 << number for number, part in MESH_PARTS.items() if part in arrays)
        for part, suffix in (("vertices", "VERTEX"), ("faces", "FACE"), ("colors", "COLOR")):
            if part not in arrays:
                continue
            array = arrays[part].astype(np.float32)
            details = {
                "plugin": "mesh",
                "name": tag[:200],
                "part": part,
                "config": msgspec.json.encode(config_dict or {}).decode()[:4000],
                "shape": list(array.shape),
                "components": components,
            }
            self._sink.show(Item(f"{tag}_{suffix}", "mesh", ARRAY_MIME, npy(array), details), global_step, walltime)

    def _pictures(
        self, tag: str, pictures: Sequence[Any], step: int | None, time: float | None, beside: dict[str, Any]
    ) -> None:
        at = self._sink.step_of(tag, step)
        for place, each in enumerate(pictures):
            found = encode_image(each)
            sample = {"sample": place} if len(pictures) > 1 else {}
            item = Item(tag, "image", found.mime, found.payload, {**found.details, **sample, **beside})
            self._sink.show(item, at, time)

    def _pr_curve(self, tag: str, rows: Any, step: int | None, time: float | None) -> None:
        details = {"thresholds": int(rows.shape[1])}
        self._sink.show(Item(tag, "pr_curve", PR_CURVE_MIME, pr_curve_payload(rows), details), step, time)
