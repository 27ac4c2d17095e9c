"""What a caller means by the data that a run was made from: subjects, references, versions and tables."""

from collections.abc import Iterable
from typing import Any, cast

from charkh.core.errors import Invalid
from charkh.core.refs import parse_subject
from charkh.datasets.find import find
from charkh.ports.store import Store


def used_subject(store: Store, source: Any) -> tuple[str, ...]:
    """The subjects that `source` stands for, such as `dataset:ID`.

    Args:
        store: where a reference is looked up.
        source: a subject, a reference such as `flights@3`, whatever has a `subject`, or a table that was read from
            versions (`origins`).

    Raises:
        Invalid: it is none of these.
        NotFound: there is no such dataset.
    """
    if isinstance(source, str):
        return (str(parse_subject(source)) if ":" in source else find(store, source).subject,)
    subject = getattr(source, "subject", None)
    if isinstance(subject, str):
        return (subject,)
    origins = getattr(source, "origins", None)
    if isinstance(origins, Iterable) and not isinstance(origins, str | bytes):
        found = tuple(str(each) for each in cast(Iterable[object], origins))
        if found:
            return found
    raise Invalid(
        f"{type(source).__name__} is no data that charkh knows",
        code="run.bad_use",
        hint="Give a reference such as 'flights@3', a version, or a table read from one.",
    )
