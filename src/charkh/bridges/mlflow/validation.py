"""What MLflow's server accepts, and its words for what it refuses; programs compare these messages."""

import math
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from charkh.bridges.mlflow.call import shown_value
from charkh.bridges.mlflow.envelope import MlflowError, invalid

MAX_KEY = 250
MAX_PARAM = 6000
MAX_TAG = 8000
MAX_EXPERIMENT_TAG = 20_000
MAX_METRICS = 1000
MAX_PARAMS_TAGS = 100
MAX_TOGETHER = 1000
MAX_BATCH_BYTES = 1_000_000
MAX_SECONDS = 2**42
"""Moments lie below this: beyond the year 100,000 there is no training."""

_KEY = re.compile(r"[/\w.\- :]*")
_RUN = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}")
_CHARACTERS = (
    "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and"
    " slashes (/)."
)
_SPELLED = {"nan": math.nan, "infinity": math.inf, "-infinity": -math.inf, "inf": math.inf, "-inf": -math.inf}
_SEE = " See the API docs for more information about request parameters."


class Metric(NamedTuple):
    """One point as it came: `timestamp` is milliseconds since the epoch."""

    key: str
    value: float
    timestamp: int
    step: int
    model_id: str = ""
    dataset_name: str = ""
    dataset_digest: str = ""


def read_metric(fields: Mapping[str, Any], path: str = "", *, named: bool = False) -> Metric:
    """A metric among the fields of a call or of an item of a batch.

    Args:
        fields: what came.
        path: where the item stands, such as `metrics[3]`.
        named: the fields are the call's own.

    Raises:
        MlflowError: as MLflow's server refuses it.
    """
    where = f"{path}." if path else ""
    for name in ("key", "value", "timestamp"):
        if fields.get(name) is None or fields.get(name) == "":
            raise invalid(f"Missing value for required parameter '{where}{name}'.{_SEE}")
    key = _text(fields["key"], f"{where}key")
    check_key(key, f"{where}name")
    value = read_number(fields["value"], f"{where}value", fields, named=named)
    timestamp = _whole(fields["timestamp"], f"{where}timestamp")
    if not 0 <= timestamp < MAX_SECONDS * 1000:
        raise invalid(
            f"Invalid value {timestamp} for parameter '{where}timestamp' supplied: metric '{key}' (value={value})."
            " Timestamp must be a nonnegative long (64-bit integer) "
        )
    if len(key) > MAX_KEY:
        raise too_long("Metric name", MAX_KEY)
    return Metric(
        key=key,
        value=value,
        timestamp=timestamp,
        step=_whole(fields.get("step") or 0, f"{where}step"),
        model_id=_text(fields.get("model_id") or "", f"{where}model_id"),
        dataset_name=_text(fields.get("dataset_name") or "", f"{where}dataset_name"),
        dataset_digest=_text(fields.get("dataset_digest") or "", f"{where}dataset_digest"),
    )


def read_number(value: object, path: str, fields: Mapping[str, Any], *, named: bool = False) -> float:
    """A double: a number, or one of the words for what JSON cannot say.

    Raises:
        MlflowError: it is none.
    """
    if isinstance(value, str):
        spelled = _SPELLED.get(value.lower())
        if spelled is not None:
            return spelled
        try:
            return float(value) if len(value) <= 64 and "_" not in value else _refuse_number(value, path, fields)
        except ValueError:
            pass
    if isinstance(value, bool) or not isinstance(value, int | float):
        if named:
            raise _wrong_type(value, path)
        return _refuse_number(value, path, fields)
    try:
        return float(value)
    except OverflowError:
        return _refuse_number(value, path, fields)


def _refuse_number(value: object, path: str, fields: Mapping[str, Any]) -> float:
    raise invalid(
        f"Invalid value {shown_value(value)} for parameter '{path}' supplied: (timestamp={fields.get('timestamp')})."
        " Please specify value as a valid double (64-bit floating point)"
    )


def check_key(name: str, path: str) -> None:
    """Whether a metric, param or tag may be called so.

    Raises:
        MlflowError: it may not.
    """
    if not _KEY.fullmatch(name):
        raise invalid(f"Invalid value {shown_value(name)} for parameter '{path}' supplied: {_CHARACTERS}")
    normal = posixpath.normpath(name)
    if normal != name or normal == "." or normal.startswith(("..", "/")):
        raise invalid(
            f"Invalid value {shown_value(name)} for parameter '{path}' supplied: Names may be treated as files in"
            " certain cases, and must not resolve to other names when treated as such. This name would resolve to"
            f" {normal!r}"
        )


def read_param(fields: Mapping[str, Any], path: str = "") -> tuple[str, str]:
    """A param: its key, and its value cut where it is too long, as MLflow's server does.

    Raises:
        MlflowError: as MLflow's server refuses it.
    """
    where = f"{path}." if path else ""
    key = _required(fields, "key", where)
    check_key(key, f"{where}key")
    if len(key) > MAX_KEY:
        raise too_long("Param key", MAX_KEY)
    return key, _text(fields.get("value", ""), f"{where}value")[:MAX_PARAM]


def read_tag(fields: Mapping[str, Any], path: str = "", limit: int = MAX_TAG) -> tuple[str, str]:
    """A tag of a run: its key, and its value cut where it is too long.

    Raises:
        MlflowError: as MLflow's server refuses it.
    """
    where = f"{path}." if path else ""
    key = _required(fields, "key", where)
    check_key(key, f"{where}key")
    if len(key) > MAX_KEY:
        raise too_long(f"{where}key", MAX_KEY)
    return key, _text(fields.get("value", ""), f"{where}value")[:limit]


def check_run_id(run: str) -> None:
    """Whether a run may have this id.

    Raises:
        MlflowError: it may not.
    """
    if not _RUN.fullmatch(run):
        raise invalid(f"Invalid value {shown_value(run)} for parameter 'run_id' supplied.")


def check_batch(metrics: Sequence[object], params: Sequence[object], tags: Sequence[object]) -> None:
    """Whether a batch is small enough.

    Raises:
        MlflowError: it is not.
    """
    total = len(metrics) + len(params) + len(tags)
    limits = (
        ("metrics", MAX_METRICS, len(metrics)),
        ("params", MAX_PARAMS_TAGS, len(params)),
        ("tags", MAX_PARAMS_TAGS, len(tags)),
        ("metrics, params, and tags", MAX_TOGETHER, total),
    )
    for what, limit, count in limits:
        if count > limit:
            raise invalid(
                f"A batch logging request can contain at most {limit} {what}. Got {count} {what}. Please split up"
                f" {what} across multiple requests and try again."
            )


def check_unique(keys: Sequence[str]) -> None:
    """Whether no param of a batch is said twice.

    Raises:
        MlflowError: one is.
    """
    seen: set[str] = set()
    twice = [key for key in keys if key in seen or seen.add(key)]
    if twice:
        raise invalid(
            f"Duplicate parameter keys have been submitted: {twice}. Please ensure the request contains only one param"
            " value per param key."
        )


def too_long(what: str, limit: int) -> MlflowError:
    """What MLflow's server says of a text that it does not cut."""
    return invalid(f"'{what}' exceeds the maximum length of {limit} characters")


def _required(fields: Mapping[str, Any], name: str, where: str) -> str:
    value = fields.get(name)
    if value is None or value == "":
        raise invalid(f"Missing value for required parameter '{where}{name}'.{_SEE}")
    return _text(value, f"{where}{name}")


def _text(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise _wrong_type(value, path)
    return value


def _whole(value: object, path: str) -> int:
    if isinstance(value, str) and len(value) <= 20 and value.removeprefix("-").isdecimal():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -(1 << 63) <= value < 1 << 63:
        raise _wrong_type(value, path)
    return value


def _wrong_type(value: object, path: str) -> MlflowError:
    hint = f"Hint: Value was of type '{type(value).__name__}'."
    return invalid(f"Invalid value {shown_value(value)} for parameter '{path}' supplied:  {hint}{_SEE}")
