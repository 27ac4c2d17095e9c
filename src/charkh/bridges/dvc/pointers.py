"""What `.dvc` files and `dvc.lock` say: outputs with their content, and the structs that DVC writes for one.

Checked against dvc: `dvc/schema.py`, `dvc/output.py`, `dvc/stage/serialize.py`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec

from charkh.bridges.dvc.hashes import DirectoryEntry, is_directory, is_oid
from charkh.bridges.dvc.yaml_text import dump_yaml, load_for_update, load_yaml, update
from charkh.core.errors import Invalid

SUFFIX = ".dvc"
LOCK = "dvc.lock"
PIPELINE = "dvc.yaml"
SCHEMA = "2.0"


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """A file or folder that DVC tracks.

    Attributes:
        path: as it is written, relative to the folder of the file that says it (or to `wdir`).
        oid: MD5 of the content; ends in `.dir` for a folder; empty where none was recorded.
        size: bytes, or None where it is not said.
        nfiles: files of a folder.
        executable: a single file's owner may execute it.
        legacy: the MD5 is that of DVC before 3.0, which is blind to Windows line ends.
        cached: its content is kept in the cache.
        push: it goes to remotes.
        remote: the remote that it goes to, or empty for the default one.
        files: the files of a folder, where they are written in the pointer itself.
        stage: name of the stage that made it, or empty.
        imported: where it was imported from, or empty.
        wdir: the folder that `path` is relative to, relative to the file's.
        desc: what its file says about it.
    """

    path: str
    oid: str = ""
    size: int | None = None
    nfiles: int | None = None
    executable: bool = False
    legacy: bool = False
    cached: bool = True
    push: bool = True
    remote: str = ""
    files: tuple[DirectoryEntry, ...] = ()
    stage: str = ""
    imported: str = ""
    wdir: str = ""
    desc: str = ""

    @property
    def is_folder(self) -> bool:
        return is_directory(self.oid) or bool(self.files)


def parse_pointer(text: str, where: str) -> tuple[Output, ...]:
    """The outputs of a `.dvc` file.

    Raises:
        Invalid: it is none.
    """
    document = load_yaml(text, where)
    if document is None:
        return ()
    table = _mapping(document, where)
    wdir, imported = str(table.get("wdir") or ""), _imported(table)
    return tuple(_output(each, where, wdir=wdir, imported=imported) for each in _listed(table, "outs", where))


def parse_lock(text: str, where: str) -> tuple[Output, ...]:
    """The outputs of a `dvc.lock`, stage by stage.

    Raises:
        Invalid: it is none.
    """
    return tuple(
        _output(each, where, stage=name)
        for name, stage in lock_stages(text, where).items()
        for each in _listed(stage, "outs", where)
    )


def lock_stages(text: str, where: str) -> dict[str, Mapping[str, Any]]:
    """The stages of a `dvc.lock` by name, of the format 2.0 or the one before."""
    document = load_yaml(text, where)
    if document is None:
        return {}
    table = _mapping(document, where)
    stages = table.get("stages") if "schema" in table else table
    return {str(name): _mapping(stage, where) for name, stage in _mapping(stages or {}, where).items()}


def output_entry(output: Output) -> dict[str, Any]:
    """An output as DVC writes it in a `.dvc` file."""
    return {
        "md5": output.oid,
        **({"size": output.size} if output.size is not None else {}),
        **({"nfiles": output.nfiles} if output.nfiles is not None else {}),
        **({"isexec": True} if output.executable else {}),
        **({} if output.legacy else {"hash": "md5"}),
        "path": output.path,
        **({"remote": output.remote} if output.remote else {}),
    }


def dump_pointer(output: Output, before: str = "", where: str = "") -> str:
    """A `.dvc` file with one output; annotations and comments of the file before stay."""
    entry = output_entry(output)
    if not before.strip():
        return dump_yaml({"outs": [entry]})
    document: dict[str, Any] = load_for_update(before, where)
    outs = cast(list[dict[str, Any]], document.get("outs") or [])
    if len(outs) != 1:
        raise Invalid(
            f"{where} has {len(outs)} outputs", code="dvc.many_outputs", hint="Remove it, and export once more."
        )
    kept = {key: value for key, value in outs[0].items() if key not in _CONTENT}
    update(outs, [{**entry, **{key: value for key, value in kept.items() if key not in entry}}])
    for key in ("md5", "cmd", "deps", "frozen"):
        document.pop(key, None)
    return dump_yaml(document)


_CONTENT = {"md5", "size", "nfiles", "isexec", "hash", "etag", "checksum", "version_id", "files", "cloud"}


def _output(entry: Any, where: str, *, stage: str = "", wdir: str = "", imported: str = "") -> Output:
    table = _mapping(entry, where)
    path, oid = table.get("path"), table.get("md5") or ""
    if not isinstance(path, str) or not path:
        raise Invalid(
            f"{where} has an output without a path", code="dvc.bad_file", hint="Mend it, or check it out anew."
        )
    if oid and not (isinstance(oid, str) and is_oid(oid)):
        raise Invalid(
            f"{where}: {oid!r} of {path} is no MD5", code="dvc.bad_oid", hint="Mend it, or check it out anew."
        )
    files = tuple(
        DirectoryEntry(str(each["relpath"]), str(each["md5"]))
        for each in _listed(table, "files", where)
        if is_oid(str(each.get("md5"))) and each.get("relpath")
    )
    return Output(
        path=path,
        oid=str(oid),
        size=_count(table.get("size")),
        nfiles=_count(table.get("nfiles")),
        executable=bool(table.get("isexec")),
        legacy=table.get("hash") != "md5",
        cached=table.get("cache") is not False,
        push=table.get("push") is not False,
        remote=str(table.get("remote") or ""),
        files=tuple(sorted(files)),
        stage=stage,
        imported=imported,
        wdir=wdir,
        desc=str(table.get("desc") or ""),
    )


def _imported(table: Mapping[str, Any]) -> str:
    """Where an import came from: a repository at a revision, an address or a database."""
    for dep in cast(Sequence[Any], table.get("deps") or []):
        if not isinstance(dep, Mapping):
            continue
        named = cast(Mapping[str, Any], dep)
        repo = named.get("repo")
        if isinstance(repo, Mapping):
            said = cast(Mapping[str, Any], repo)
            rev = str(said.get("rev_lock") or said.get("rev") or "")
            return f"{said.get('url')}@{rev[:12]}:{named.get('path', '')}"
        if "db" in named:
            return "a database"
        return str(named.get("path") or "")
    return ""


def _listed(table: Mapping[str, Any], key: str, where: str) -> Iterator[Mapping[str, Any]]:
    listed: Any = table.get(key) or []
    if not isinstance(listed, list):
        raise Invalid(f"{where}: {key} is no list", code="dvc.bad_file", hint="Mend it, or check it out anew.")
    return (_mapping(each, where) for each in cast(list[Any], listed))


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise Invalid(f"{where} is not what DVC writes", code="dvc.bad_file", hint="Mend it, or check it out anew.")
    return cast(Mapping[str, Any], value)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
