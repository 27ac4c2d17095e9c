"""`charkh serve -f`: what manifests of other platforms come to here."""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charkh.cli.output import write_line, write_note
from charkh.core.errors import Invalid
from charkh.core.written_settings import written
from charkh.workspace.workspace import Workspace

if TYPE_CHECKING:
    from charkh.core.endpoint_settings import EndpointSettings


def endpoints_of(
    workspace: Workspace, files: Sequence[Path], maps: Sequence[str], *, dry_run: bool = False
) -> "Mapping[str, EndpointSettings]":
    """The endpoints that files mean; what is ignored is said.

    Args:
        workspace: in whose registry their models are, or come.
        files: manifests and folders.
        maps: CLAIM=FOLDER.
        dry_run: register nothing.

    Raises:
        Invalid: a manifest asks for what cannot be honoured, or a map is no CLAIM=FOLDER.
    """
    # A bridge is imported by the command that crosses it.
    from charkh.bridges.model_keeping import rehearsal
    from charkh.bridges.serving_manifests import read_files

    mounts: dict[str, Path] = {}
    for each in maps:
        claim, sign, folder = each.partition("=")
        if not sign:
            raise Invalid(f"{each!r} is no CLAIM=FOLDER", code="cli.map", hint="Such as --map models=/mnt/models.")
        mounts[claim] = Path(folder)
    with rehearsal(workspace) if dry_run else contextlib.nullcontext() as keep:
        meant = read_files(workspace, files, mounts, keep)
    for note in meant.notes:
        write_note(f"note: {note}")
    return meant.endpoints


def write_endpoints(endpoints: "Mapping[str, EndpointSettings]") -> None:
    """Print the endpoints as `charkh.toml` says them."""
    # Only a dry run writes settings.
    import tomlkit

    document: dict[str, Any] = {"endpoint": {name: written(settings) for name, settings in endpoints.items()}}
    write_line(tomlkit.dumps(document).rstrip("\n"))
