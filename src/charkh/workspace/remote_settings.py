"""Remotes in `charkh.toml`: add one, look at one, forget what is remembered of one."""

import shutil
from pathlib import Path

import msgspec
import tomlkit
from tomlkit.exceptions import TOMLKitError

from charkh.core.config import RemoteSettings, refuse_credentials
from charkh.core.errors import Conflict, Invalid
from charkh.core.refs import parse_alias
from charkh.ports.remote import Remote
from charkh.stores.remote_key import write_new_key
from charkh.workspace.remotes import exchange_of, open_remote, remote_folder
from charkh.workspace.settings import FILE
from charkh.workspace.sides import Sides
from charkh.workspace.workspace import Workspace


class RemoteContents(msgspec.Struct, frozen=True, kw_only=True):
    """What a remote has.

    Attributes:
        remote: its name.
        address: without credentials.
        facts: facts in it.
        packs: packs in it.
        size: bytes in the packs.
        facts_lacking_here: facts that are there and not here.
        facts_lacking_there: facts that are here and not there.
    """

    remote: str
    address: str
    facts: int
    packs: int
    size: int
    facts_lacking_here: int
    facts_lacking_there: int


def add_remote(workspace: Workspace, name: str, address: str, *, key: str = "", default: bool = False) -> Remote:
    """Write a remote into the workspace's file, once it was opened; comments and order of the file stay.

    Raises:
        Conflict: there is a remote of that name.
        Invalid: the address carries credentials, or is in no way that charkh speaks; the file has no table to add to.
        Unavailable: it cannot be reached.
    """
    parse_alias(name, "the name of a remote", "team")
    refuse_credentials(address, "the address")
    if name in workspace.settings.remote:
        raise Conflict(
            f"there is a remote {name} already: {workspace.settings.remote[name].url}",
            code="remote.exists",
            hint=f"Take another name, or change [remote.{name}] in {FILE}.",
        )
    settings = RemoteSettings(url=address, key=key, default=default)
    with_it = msgspec.structs.replace(workspace.settings, remote={**workspace.settings.remote, name: settings})
    before, workspace.settings = workspace.settings, with_it
    try:
        opened = open_remote(workspace, name)
        _write(workspace, name, settings)
    except BaseException:
        workspace.settings = before
        raise
    return opened


def look_at(workspace: Workspace, remote: str = "") -> RemoteContents:
    """What a remote has, and how many facts differ."""
    opened = open_remote(workspace, remote)
    mine, theirs = exchange_of(workspace.journal).known(), opened.facts.known()
    with Sides(workspace, opened) as sides:
        packs = sides.there.shelf.list_packs()
    return RemoteContents(
        remote=opened.name,
        address=opened.address,
        facts=sum(theirs.values()),
        packs=len(packs),
        size=sum(packs.values()),
        facts_lacking_here=sum(max(0, count - mine.get(segment, 0)) for segment, count in theirs.items()),
        facts_lacking_there=sum(max(0, count - theirs.get(segment, 0)) for segment, count in mine.items()),
    )


def forget_remote(workspace: Workspace, name: str) -> None:
    """Delete what this machine remembers of a remote: caches alone.

    Raises:
        Invalid: it is no name.
    """
    parse_alias(name, "the name of a remote", "team")
    shutil.rmtree(remote_folder(workspace, name), ignore_errors=True)


def new_remote_key(path: Path) -> None:
    """Write a fresh key into a file that only its owner can read.

    Raises:
        Conflict: there is something in that place.
    """
    write_new_key(path)


def _write(workspace: Workspace, name: str, settings: RemoteSettings) -> None:
    path = workspace.folder / FILE
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise Invalid(f"{path} cannot be read: {error}", code="config.not_toml", hint="Mend that place.") from error
    table = tomlkit.table()
    table["url"] = settings.url
    if settings.key:
        table["key"] = settings.key
    if settings.default:
        table["default"] = True
    document.setdefault("remote", tomlkit.table(is_super_table=True))[name] = table
    waiting = path.with_name(f".{FILE}-new")
    waiting.write_text(tomlkit.dumps(document), encoding="utf-8")
    waiting.replace(path)
