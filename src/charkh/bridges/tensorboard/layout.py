"""The layout of the custom scalars dashboard (tensorboard/plugins/custom_scalar/layout.proto)."""

from collections.abc import Mapping, Sequence
from typing import Any

from charkh.bridges.tensorboard.events import Metadata, Value
from charkh.bridges.tensorboard.tensors import encode_strings
from charkh.bridges.tensorboard.wire import write_bytes
from charkh.core.errors import Invalid

TAG = "custom_scalars__config__"
PLUGIN = "custom_scalars"


def layout_value(layout: Mapping[str, Mapping[str, Sequence[Any]]]) -> Value:
    """The value that says a layout: `{category: {chart: ["Multiline", tags] or ["Margin", [value, low, high]]}}`.

    Raises:
        Invalid: a chart is neither.
    """
    categories = b"".join(write_bytes(2, _category(name, charts)) for name, charts in layout.items())
    metadata = Metadata(plugin=PLUGIN)
    return Value(tag=TAG, metadata=metadata, tensor=encode_strings((categories,), ()))


def _category(title: str, charts: Mapping[str, Sequence[Any]]) -> bytes:
    return write_bytes(1, title) + b"".join(write_bytes(2, _chart(name, chart)) for name, chart in charts.items())


def _chart(title: str, chart: Sequence[Any]) -> bytes:
    kind, tags = (str(chart[0]), [str(each) for each in chart[1]]) if len(chart) == 2 else ("", [])
    if kind == "Multiline":
        content = write_bytes(2, b"".join(write_bytes(1, tag) for tag in tags))
    elif kind == "Margin" and len(tags) == 3:
        series = b"".join(write_bytes(number, tag) for number, tag in enumerate(tags, 1))
        content = write_bytes(3, write_bytes(1, series))
    else:
        raise Invalid(
            f"the chart {title!r} is neither Multiline nor Margin",
            code="tensorboard.bad_layout",
            hint='Say ["Multiline", [tag, …]] or ["Margin", [value, lower, upper]].',
        )
    return write_bytes(1, title) + content
