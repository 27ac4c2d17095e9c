"""`SummaryWriter`, called as those of PyTorch and tensorboardX: it records a run, and event files if it is told to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from charkh.bridges.tensorboard.graphs import graph_item
from charkh.bridges.tensorboard.layout import layout_value
from charkh.bridges.tensorboard.media import ARRAY_MIME, Item, npy, raw
from charkh.bridges.tensorboard.pixels import to_array
from charkh.bridges.tensorboard.projector import TABLE
from charkh.bridges.tensorboard.projector_files import sprite_item
from charkh.bridges.tensorboard.sink import Sink
from charkh.bridges.tensorboard.writer_media import MediaWriter
from charkh.runs.active import current
from charkh.runs.start import ActiveRun
from charkh.workspace.recording import run as start_run


class SummaryWriter(MediaWriter):
    """Records what TensorBoard's writers would write into the run around the caller, or into a run of its own.

    Every value is kept, with its step and time, as float64; nothing is sampled away, and a step that is lower than the
    last one is a point like any other. Methods and arguments are those of `torch.utils.tensorboard.SummaryWriter` and
    of tensorboardX's.

    Args:
        log_dir: event files are written there, too; without it the run alone is recorded.
        comment: becomes the name of the run, where `log_dir` says none.
        purge_step, max_queue, flush_secs, filename_suffix: taken for the sake of scripts, and not needed: what is
            logged again at a step replaces nothing, and every call is on the disk when it returns.

    Attributes:
        run: the run that is recorded.
        log_dir: as it was given, or the run's id.
    """

    def __init__(
        self,
        log_dir: str | Path | None = None,
        comment: str = "",
        purge_step: int | None = None,
        max_queue: int = 10,
        flush_secs: int = 120,
        filename_suffix: str = "",
        **_more: Any,
    ) -> None:
        del purge_step, max_queue, flush_secs, filename_suffix
        around = current()
        self._owns = around is None
        name = Path(log_dir).name if log_dir is not None else comment.strip("_- ")
        self.run: ActiveRun = around if around is not None else start_run(name[:250])
        self.log_dir = str(log_dir) if log_dir is not None else self.run.id
        self._sink = Sink(self.run, Path(log_dir) if log_dir is not None else None)
        self._charts: dict[str, dict[str, list[Any]]] = {}

    def add_scalar(
        self,
        tag: str,
        scalar_value: Any,
        global_step: int | None = None,
        walltime: float | None = None,
        new_style: bool = False,
        double_precision: bool = False,
        **_more: Any,
    ) -> None:
        """Log one number."""
        del new_style, double_precision
        self._sink.scalars({tag: scalar_value}, "", global_step, walltime)

    def add_scalars(
        self,
        main_tag: str,
        tag_scalar_dict: Mapping[str, Any],
        global_step: int | None = None,
        walltime: float | None = None,
    ) -> None:
        """Log several numbers of one metric, each in a context of its own, such as `train` and `val`."""
        for name, value in tag_scalar_dict.items():
            self._sink.scalars({main_tag: value}, str(name), global_step, walltime)

    def add_onnx_graph(self, onnx_model_file: str | Path | None = None, *, prototxt: str | Path | None = None) -> None:
        """Keep an ONNX file as an artifact; PyTorch and tensorboardX name it differently."""
        given = onnx_model_file or prototxt
        if given is not None:
            self.run.add_artifact(f"graph/{Path(given).name}", Path(given))

    def add_graph(self, model: Any, input_to_model: Any = None, verbose: bool = False, **_more: Any) -> None:
        """Keep the graph of a model: a GraphDef where PyTorch's own tracer is there, else the model's own text."""
        del verbose
        self._sink.show(graph_item(model, input_to_model), 0, None)

    def add_embedding(
        self,
        mat: Any,
        metadata: Sequence[Any] | None = None,
        label_img: Any = None,
        global_step: int | None = None,
        tag: str = "default",
        metadata_header: Sequence[str] | None = None,
    ) -> None:
        """Log vectors, with a label and a picture for each where they are given."""
        vectors = to_array(mat)
        name = f"{tag}:{global_step or 0:05d}"
        items = [Item(name, "embedding", ARRAY_MIME, npy(vectors), {"shape": list(vectors.shape), "name": tag[:200]})]
        if metadata is not None:
            rows = [[str(cell) for cell in row] if metadata_header else [str(row)] for row in metadata]
            lines = [list(metadata_header), *rows] if metadata_header else rows
            table = "".join(
                "\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row) + "\n" for row in lines
            )
            items.append(Item(f"{name}/metadata", "file", TABLE, table.encode("utf-8", "replace"), {"embedding": name}))
        if label_img is not None:
            items.append(sprite_item(name, label_img))
        self._sink.embed(items, global_step or 0)

    def add_custom_scalars_multilinechart(
        self, tags: Sequence[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """Lay several metrics into one chart of TensorBoard's custom scalars."""
        self.add_custom_scalars({category: {title: ["Multiline", list(tags)]}})

    def add_custom_scalars_marginchart(
        self, tags: Sequence[str], category: str = "default", title: str = "untitled"
    ) -> None:
        """Lay a metric and its lower and upper margin into one chart of TensorBoard's custom scalars."""
        self.add_custom_scalars({category: {title: ["Margin", list(tags)]}})

    def add_custom_scalars(self, layout: Mapping[str, Mapping[str, Sequence[Any]]]) -> None:
        """Lay out TensorBoard's custom scalars: `{category: {chart: ["Multiline", tags]}}`; charts add up.

        Raises:
            Invalid: a chart is neither `Multiline` nor `Margin`.
        """
        charts = {name: dict(known) for name, known in self._charts.items()}
        for category, named in layout.items():
            charts.setdefault(category, {}).update({title: list(chart) for title, chart in named.items()})
        value = layout_value(charts)
        self._charts = charts
        self._sink.show(raw(value, value.metadata), 0, None)

    def add_hparams(
        self,
        hparam_dict: Mapping[str, Any],
        metric_dict: Mapping[str, Any],
        hparam_domain_discrete: Mapping[str, Sequence[Any]] | None = None,
        run_name: str | None = None,
        global_step: int | None = None,
        **_more: Any,
    ) -> None:
        """Record params of the run and what they came to; all sessions of a script are this one run."""
        del hparam_domain_discrete, run_name
        self.run.set_params(dict(hparam_dict))
        self._sink.session(dict(hparam_dict), list(metric_dict))
        for tag, value in metric_dict.items():
            self.add_scalar(tag, value, global_step)

    def get_logdir(self) -> str:
        """The folder of the event files, or the run's id where there are none."""
        return self.log_dir

    def flush(self) -> None:
        """Nothing waits: every call is with the operating system when it returns."""

    def close(self) -> None:
        """End the run, unless it is the one around the caller; a second call does nothing."""
        self._sink.close()
        if self._owns:
            self.run.end()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._sink.close()
        if self._owns and kind is not None:
            self.run.end("failed", error=f"{kind.__name__}: {error}".removesuffix(": "))
        self.close()
