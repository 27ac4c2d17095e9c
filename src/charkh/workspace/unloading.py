"""The models that clients have unloaded, shared by the processes of one server."""

from charkh.endpoints.unloaded import Unloaded
from charkh.stores.shared_names_file import FileNames, open_names


def names_table() -> int:
    """A table of names for the workers of one server, as the descriptor that they inherit."""
    return open_names()


def unloaded_of(names: int) -> Unloaded:
    """What clients have unloaded, as this process is to know it.

    Args:
        names: of `names_table`, or negative for a server of one process.

    Raises:
        Unavailable: more workers share the table than it has room for.
    """
    return Unloaded(FileNames(names) if names >= 0 else None)
