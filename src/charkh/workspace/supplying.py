"""What a version is handed out with: its bill of materials, and a folder of its files."""

from collections.abc import Mapping
from importlib.metadata import version as installed
from pathlib import Path

from charkh.cards.index import CardOf
from charkh.cards.record import read_markdown
from charkh.core.errors import Conflict, NotFound
from charkh.core.refs import parse_path
from charkh.datasets.find import find as find_dataset
from charkh.models.files import read_files
from charkh.models.model import ModelVersion
from charkh.models.oms import SIGNATURE_FILE
from charkh.models.sbom import Origin, bill_of_materials
from charkh.models.sign import bundle_of
from charkh.runs.find import find as find_run
from charkh.workspace.workspace import Workspace

CARD_FILE = "README.md"
BILL_FILE = "sbom.cdx.json"


def bill_of(workspace: Workspace, version: ModelVersion) -> bytes:
    """The CycloneDX bill of materials of a version; equal versions give equal bytes.

    Raises:
        NotFound: its bytes are not here.
    """
    store, made = workspace.store, version.made
    origins: list[Origin] = []
    for identifier in made.datasets:
        try:
            dataset = find_dataset(store, identifier)
            origins.append(Origin(f"dataset:{identifier}", dataset.ref, dataset.made.tree.root))
        except NotFound:
            origins.append(Origin(f"dataset:{identifier}", f"dataset:{identifier}", ""))
    run = ""
    if made.run:
        try:
            run = find_run(store, made.run).name
        except NotFound:
            run = made.run
    description = b"".join(store.vault.read(made.description)).decode() if made.description is not None else ""
    return bill_of_materials(
        version,
        read_files(store, version),
        datasets=origins,
        run=run,
        description=description,
        tool=installed("charkh"),
    )


def files_to_hand_out(workspace: Workspace, version: ModelVersion) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """The files of a version, and what goes with them: the signature, the card and the bill of materials.

    Raises:
        NotFound: its bytes are not here.
    """
    store = workspace.store
    own = dict(read_files(store, version))
    beside = {BILL_FILE: bill_of(workspace, version)}
    bundle = bundle_of(store, version)
    if bundle is not None:
        beside[SIGNATURE_FILE] = bundle
    card = store.queries.ask(CardOf(about=version.subject))
    if card is not None:
        beside[CARD_FILE] = read_markdown(store, card).encode()
    return own, beside


def lay_out(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder that is empty or not there yet.

    Raises:
        Conflict: something is in it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(
            f"{folder} is there already", code="export.not_empty", hint="Name a folder that is not there yet."
        )
    for name, data in files.items():
        path = folder / parse_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
