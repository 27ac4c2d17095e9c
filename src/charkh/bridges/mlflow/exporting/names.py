"""Names that MLflow takes: of keys, which are paths for its file store, and of metrics that have a context here."""

import json
import posixpath
import re
from collections.abc import Iterable, Mapping

from charkh.bridges.mlflow.importing.points import CONTEXTS_TAG
from charkh.runs.points import SeriesName

_KEY = re.compile(r"[/\w.\- :]{1,250}")


def fits(key: str) -> bool:
    """Whether MLflow takes it as the key of a param, tag or metric: it reads no run that has another one."""
    plain = bool(_KEY.fullmatch(key)) and posixpath.normpath(key) == key
    return plain and key != "." and not key.startswith(("/", ".."))


def named_metrics(names: Iterable[SeriesName]) -> dict[SeriesName, str]:
    """A key for each metric that MLflow can have one for: `loss` in the context `val` is `val/loss` there."""
    found: dict[SeriesName, str] = {}
    for name in sorted(names, key=lambda name: (bool(name.context), name)):
        key = f"{name.context}/{name.key}" if name.context else name.key
        if fits(key) and key not in found.values():
            found[name] = key
    return found


def contexts_tag(named: Mapping[SeriesName, str]) -> dict[str, str]:
    """The tag by which an import tells contexts from keys with `/`; none where there are no contexts."""
    said = {key: [name.key, name.context] for name, key in named.items() if name.context}
    return {CONTEXTS_TAG: json.dumps(said, ensure_ascii=False, sort_keys=True)} if said else {}
