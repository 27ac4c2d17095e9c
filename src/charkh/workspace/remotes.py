"""Remotes by name or address: a folder, a colleague's workspace, a bucket, a file on a stick, each opened as one thing.

One line of `SCHEMES` adds a medium. What is remembered of a remote lies under `.charkh/remotes/NAME/`.
"""

import difflib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from blake3 import blake3

from charkh.core.config import RemoteSettings, refuse_credentials
from charkh.core.errors import Conflict, Invalid, NotFound, Unavailable
from charkh.core.redact import redact
from charkh.ports.blobs import Blobs
from charkh.ports.exchange import Exchange
from charkh.ports.journal import Journal
from charkh.ports.remote import Remote
from charkh.stores.blobs_folder import FolderBlobs
from charkh.stores.exchange_blobs import IDENTITY, BlobsExchange, identify
from charkh.stores.exchange_folder import FolderExchange
from charkh.stores.journal_folder import FolderJournal
from charkh.stores.remote_key import read_key
from charkh.workspace.remote_record import FILE as RECORD_FILE
from charkh.workspace.remote_record import RemoteRecord
from charkh.workspace.settings import STORE_FOLDER, find_workspace, read_settings
from charkh.workspace.workspace import SERVER_VARIABLE, Workspace, store_identifier

REMOTES = "remotes"
BUNDLE = ".bundle"
UNNAMED = "at-"
"""Begins the name under which a remote that was given by its address is remembered."""
SERVER = "server"
BEARER_VARIABLE = "CHARKH_TOKEN"
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+\-]*)://")


class Place(NamedTuple):
    """What a builder is told.

    Attributes:
        name: of the remote.
        address: as the settings or the user gave it.
        token: what a server asks for: the name of a file, or `env:NAME`; empty for `CHARKH_TOKEN`.
        folder: where this machine remembers things about it.
        base: the workspace's folder, to which paths are relative.
        seen: it was reached before, so it is not to be made anew.
    """

    name: str
    address: str
    token: str
    folder: Path
    base: Path
    seen: bool


Builder = Callable[[Place], Blobs | Remote]
"""Opens a medium, or what is no medium of its own and exchanges facts in a way of its own."""


def named_remotes(workspace: Workspace) -> Mapping[str, RemoteSettings]:
    """The remotes of the settings, and the server that `CHARKH_URL` names."""
    found = dict(workspace.settings.remote)
    if address := os.environ.get(SERVER_VARIABLE):
        found.setdefault(SERVER, RemoteSettings(url=address))
    return found


def which_remote(workspace: Workspace, wanted: str = "") -> tuple[str, RemoteSettings]:
    """The name and settings that a name or address means; without one, the only remote or the default one.

    Raises:
        NotFound: there is no remote of that name, or none at all.
        Conflict: there are several and none is the default.
    """
    known = named_remotes(workspace)
    if wanted in known:
        return wanted, known[wanted]
    if wanted:
        if not _is_address(wanted):
            near = difflib.get_close_matches(wanted, list(known), n=1)
            raise NotFound(
                f"there is no remote {wanted!r}",
                code="remote.not_found",
                hint=f"Did you mean {near[0]!r}?"
                if near
                else "Add it: charkh remote add NAME ADDRESS; or give a path.",
            )
        refuse_credentials(wanted, "the address")
        same = [name for name, each in known.items() if _resolved(workspace, each.url) == _resolved(workspace, wanted)]
        if same:
            return same[0], known[same[0]]
        return f"{UNNAMED}{blake3(_resolved(workspace, wanted).encode()).hexdigest()[:16]}", RemoteSettings(url=wanted)
    marked = [name for name, each in known.items() if each.default] or list(known)
    if not marked:
        raise NotFound(
            "no remote is configured",
            code="remote.none_configured",
            hint="Add one: charkh remote add team /path/to/shared/folder; or name a folder: charkh sync /path.",
        )
    if len(marked) > 1:
        raise Conflict(
            f"there are {len(marked)} remotes and none is the one default: {', '.join(sorted(marked))}",
            code="remote.ambiguous",
            hint="Name one, or say default = true in one [remote.NAME] of charkh.toml.",
        )
    return marked[0], known[marked[0]]


def open_remote(workspace: Workspace, wanted: str = "", *, create: bool = True) -> Remote:
    """A remote, ready to exchange with; an empty folder, bucket or file becomes one.

    Args:
        workspace: whose settings name it.
        wanted: its name, its address, or empty for the default one.
        create: let what is empty become a remote; else it is looked at as it is.

    Raises:
        NotFound: there is no such remote.
        Unavailable: it cannot be reached, or what was there before is gone.
        Invalid: its address is in no way that charkh speaks.
        Denied: its key is another.
    """
    name, settings = which_remote(workspace, wanted)
    refuse_credentials(settings.url, f"[remote.{name}] url")
    folder = remote_folder(workspace, name)
    with RemoteRecord(folder / RECORD_FILE) as record:
        seen = record.identity if folder.is_dir() else ""
        place = Place(name, settings.url, settings.token, folder, workspace.folder, bool(seen))
        opened = _builder(settings.url)(place)
        if isinstance(opened, Remote):
            if settings.key:
                raise Invalid(
                    f"the remote {name} is a store of its own and cannot be encrypted from here",
                    code="remote.not_encrypted",
                    hint="Take the key out of its settings, or give a folder, bucket or bundle.",
                )
            return opened
        blobs = _encrypted(opened, settings.key, workspace.folder, create=create)
        identity = _known_again(blobs, name, redact(settings.url), seen, create=create)
        if identity != seen and create:
            record.forget()
            record.say("identity", identity)
    return Remote(name, redact(settings.url), blobs, BlobsExchange(blobs, folder / "facts"))


def remote_folder(workspace: Workspace, name: str) -> Path:
    """Where this machine remembers things about a remote."""
    return workspace.store_folder / REMOTES / name


def exchange_of(journal: Journal) -> Exchange:
    """The exchange of a workspace's own journal."""
    if isinstance(journal, FolderJournal):
        return FolderExchange(journal)
    # Here, because a store in a folder should not wait for PostgreSQL's dialect to load.
    from charkh.stores.journal_postgres import PostgresJournal

    if isinstance(journal, PostgresJournal):
        return journal
    raise Invalid(
        f"a {type(journal).__name__} exchanges no facts", code="remote.no_exchange", hint="Use a store in a folder."
    )


def _known_again(blobs: Blobs, name: str, address: str, seen: str, *, create: bool) -> str:
    identity = identify(blobs, create=create and not seen)
    if seen and not identity:
        raise Unavailable(
            f"the remote {name} was at {address}, and nothing of it is there any more",
            code="remote.gone",
            hint=f"Mount it or look at the address; to begin anew there, run: charkh remote forget {name}",
        )
    return identity


def _encrypted(blobs: Blobs, key: str, base: Path, *, create: bool) -> Blobs:
    # Imported here: the extra is needed where a remote has a key, and its marker is looked for without it.
    from charkh.stores.blobs_encrypted import is_encrypted, open_encrypted

    if not key:
        if is_encrypted(blobs):
            raise Invalid(
                "this remote is encrypted and its settings name no key",
                code="remote.needs_key",
                hint="Name the key: charkh remote add NAME ADDRESS --key FILE; or in its [remote.NAME] of charkh.toml: "
                'key = "FILE" or key = "env:NAME".',
            )
        return blobs
    if not is_encrypted(blobs) and blobs.has(IDENTITY):
        raise Invalid(
            "this remote is not encrypted, and its settings name a key",
            code="remote.not_encrypted",
            hint="Take the key out of its settings, or give it an empty folder or prefix.",
        )
    return open_encrypted(blobs, read_key(key, base), create=create)


def _builder(address: str) -> Builder:
    scheme = _scheme(address)
    if scheme not in SCHEMES:
        raise Invalid(
            f"{redact(address)!r}: charkh speaks no {scheme}://",
            code="remote.bad_address",
            hint=f"Give a path, or an address that begins with {', '.join(f'{each}://' for each in SCHEMES if each)}.",
        )
    return SCHEMES[scheme]


def _scheme(address: str) -> str:
    match = _SCHEME.match(address)
    return match[1].lower() if match else ""


def _is_address(text: str) -> bool:
    return bool(_SCHEME.match(text)) or "/" in text or text.startswith((".", "~")) or text.endswith(BUNDLE)


def _resolved(workspace: Workspace, address: str) -> str:
    """One text for one place, however it was written."""
    return str(_path(address, workspace.folder)) if _scheme(address) in {"", "file"} else address.rstrip("/")


def _path(address: str, base: Path) -> Path:
    text = unquote(address.partition("://")[2]) if _scheme(address) else address
    return (base / Path(text).expanduser()).resolve()


def _folder(place: Place) -> Blobs | Remote:
    """A folder laid out as a remote, the workspace or store of a colleague, or one file."""
    path = _path(place.address, place.base)
    if path.name.endswith(BUNDLE):
        # Imported here: only a remote in a file needs it.
        from charkh.stores.blobs_bundle import BundleBlobs

        return BundleBlobs(path)
    for store in (path, path / STORE_FOLDER):
        if (store / "format.json").is_file():
            return _store(place, store)
    if path.is_dir() and find_workspace(path) == path:
        settings = read_settings(path, {})
        if settings.store.journal or settings.store.blobs:
            raise Invalid(
                f"the workspace in {path} keeps its store elsewhere",
                code="remote.not_a_folder",
                hint="Exchange through a remote that both of you reach: a folder or a bucket.",
            )
        return _store(place, path / settings.store.path)
    if path.exists() and not path.is_dir():
        raise Invalid(
            f"{path} is a file", code="remote.not_a_folder", hint=f"Give a folder, or a file that ends in {BUNDLE}."
        )
    if not path.exists() and (place.seen or not path.parent.is_dir()):
        raise Unavailable(
            f"there is no folder {path}",
            code="remote.gone",
            hint="Mount it, look at the spelling, or make the folder above it.",
        )
    return FolderBlobs(path, shared=True)


def _store(place: Place, store: Path) -> Remote:
    journal = FolderJournal(store / "journal", store_identifier(store))
    return Remote(place.name, redact(place.address), FolderBlobs(store / "packs"), FolderExchange(journal))


def _bucket(place: Place) -> Blobs:
    # Imported here: the object store's library costs 25 ms of start-up.
    from charkh.stores.blobs_object import object_blobs

    return object_blobs(place.address)


def _ssh(place: Place) -> Blobs:
    # Imported here: it needs an extra, and takes as long to load as the rest of a command.
    try:
        from charkh.stores.blobs_ssh import SshBlobs, parse_ssh_address
    except ImportError as error:
        raise Unavailable(
            f"{place.address} is reached by a library that is not installed",
            code="remote.no_ssh",
            hint="Install it: pip install 'charkh[ssh]'.",
        ) from error
    return SshBlobs(parse_ssh_address(place.address))


def _server(place: Place) -> Remote:
    # Imported here: only a remote that is a server needs an HTTP client.
    from charkh.stores.blobs_http import HttpBlobs
    from charkh.stores.exchange_http import HttpExchange
    from charkh.stores.http_connection import HttpConnection

    connection = HttpConnection(place.address, _token(place))
    return Remote(place.name, place.address, HttpBlobs(connection), HttpExchange(connection), keeps_itself=True)


def _table_of(name: str) -> str:
    return "the remote's table of charkh.toml" if name.startswith(UNNAMED) else f"[remote.{name}] of charkh.toml"


def _token(place: Place) -> str:
    if not place.token or place.token.startswith("env:"):
        variable = place.token.removeprefix("env:") or BEARER_VARIABLE
        if token := os.environ.get(variable):
            return token
        raise Unavailable(
            f"{place.address} asks for a token, and {variable} is not set",
            code="remote.no_token",
            hint=f'Export {variable}, or say which file has it: token = "path" in {_table_of(place.name)}.',
        )
    path = (place.base / Path(place.token).expanduser()).resolve()
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise Unavailable(
            f"the token of {place.address} cannot be read from {path}: {error.strerror}",
            code="remote.no_token",
            hint="Look at the path; `charkh up` keeps its token in .charkh/token.",
        ) from error


SCHEMES: dict[str, Builder] = {
    "": _folder,
    "file": _folder,
    "s3": _bucket,
    "gs": _bucket,
    "az": _bucket,
    "ssh": _ssh,
    "http": _server,
    "https": _server,
}
"""By the scheme of an address, what opens it."""
