"""What a person calls a subject: `orders@2` where the facts say `dataset:01a2…`."""

from collections.abc import Iterable

from charkh.ports.projections import Describe
from charkh.ports.store import Store


def title_of(store: Store, subject: str) -> str:
    """How a subject's noun calls it; the subject itself where nobody describes it."""
    description = store.queries.ask(Describe(subject=subject)) if subject else None
    return description.title if description is not None else subject


def titles_of(store: Store, subjects: Iterable[str]) -> dict[str, str]:
    """The titles of several subjects, each looked up once; nothing for the empty one."""
    return {subject: title_of(store, subject) for subject in {*subjects, ""}}
