"""Export a dataset version as Croissant 1.1: JSON-LD that says what its files, columns, licence and origin are.

Source: Croissant Format Specification 1.1 (http://mlcommons.org/croissant/1.1). schema.org is written
`https://schema.org/`, as its own data sets and its validator have it. A table of several files is one record set over
a file set that names each file.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from urllib.parse import quote

import msgspec

from charkh.cards.front_matter import top_keys
from charkh.cards.index import CardOf
from charkh.cards.record import read_markdown
from charkh.cards.regions import parse_document
from charkh.core.errors import Invalid
from charkh.core.files import TreeEntry
from charkh.datasets.dataset import Column, DatasetVersion
from charkh.lineage.index import EdgesFrom
from charkh.ports.store import Store
from charkh.ports.vault import Progress

Json = dict[str, object]

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
SPDX = "https://spdx.org/licenses/"
FILE = "croissant.json"
RECORDS = "records"
TABLE = "files-of-the-table"

_TERMS = (
    "annotation arrayShape citeAs column containedIn equivalentProperty excludes extract field fileObject fileProperty "
    "fileSet format includes isArray isLiveDataset jsonPath key md5 parentField path readLines recordSet references "
    "regex repeated replace samplingRate sdVersion separator source subField transform unArchive value"
)
CONTEXT: Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
    "conformsTo": "dct:conformsTo",
    **{term: f"cr:{term}" for term in _TERMS.split()},
    "data": {"@id": "cr:data", "@type": "@json"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
}
"""The specification's own context (its appendix 1), the terms that its validator knows besides, and PROV."""

_FORMATS = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".parquet": "application/x-parquet",
    ".jsonl": "application/jsonlines",
    ".ndjson": "application/jsonlines",
    ".json": "application/json",
    ".txt": "text/plain",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".zip": "application/zip",
}
_TYPES = (
    (re.compile(r"U?Int\d+"), "sc:Integer"),
    (re.compile(r"Float\d+|Decimal"), "sc:Float"),
    (re.compile(r"Boolean"), "sc:Boolean"),
    (re.compile(r"Datetime"), "sc:DateTime"),
    (re.compile(r"Date"), "sc:Date"),
    (re.compile(r"Time"), "sc:Time"),
)


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What the specification requires and a version does not know of itself.

    Attributes:
        license: SPDX id or address; that of the version's card by default.
        creator: person or organisation; who made the version by default.
        url: of the page about the dataset; the version's own name by default.
        description: its message, or a line of what it holds, by default.
        base: address below which the files can be had; relative to the document by default.
    """

    license: str = ""
    creator: str = ""
    url: str = ""
    description: str = ""
    base: str = ""


def croissant(
    store: Store, version: DatasetVersion, said: Said | None = None, progress: Progress | None = None
) -> Json:
    """The document of a version. Every file is read once, for its SHA-256.

    Raises:
        Invalid: nobody said under which licence it may be used.
        NotFound: the bytes of a file are not here.
    """
    said = said or Said()
    made = version.made
    entries = list(store.vault.entries(made.tree.root))
    moment = datetime.fromtimestamp(version.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    names = _identifiers([entry.path for entry in entries])
    files: list[object] = [_file(store, entry, names[entry.path], said.base, progress) for entry in entries]
    document: Json = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": made.name,
        "description": said.description or made.message or _told(version),
        "license": _license(store, version, said.license),
        "url": said.url or f"urn:charkh:{version.subject}",
        "creator": {"@type": "sc:Person", "name": said.creator or version.author},
        "datePublished": moment,
        "version": f"{made.number}.0.0",
        "identifier": version.subject,
        "distribution": files,
        **_provenance(store, version),
    }
    if made.kind == "table" and made.schema:
        if len(entries) > 1:
            files.append(_file_set(entries))
        where = {"fileObject": {"@id": names[entries[0].path]}} if len(entries) == 1 else {"fileSet": {"@id": TABLE}}
        document["recordSet"] = [_records(version, where)]
    return document


def _told(version: DatasetVersion) -> str:
    made = version.made
    rows = f"{made.rows} rows of {made.columns} columns in " if made.rows is not None else ""
    return f"{version.ref}: {rows}{made.tree.files} files."


def _file(store: Store, entry: TreeEntry, identifier: str, base: str, progress: Progress | None) -> Json:
    digest = hashlib.sha256()
    for chunk in store.vault.read(entry.file):
        digest.update(chunk)
        if progress:
            progress(len(chunk))
    return {
        "@type": "cr:FileObject",
        "@id": identifier,
        "name": PurePosixPath(entry.path).name,
        "contentUrl": f"{base.rstrip('/')}/{quote(entry.path)}" if base else entry.path,
        "contentSize": f"{entry.file.size} B",
        "encodingFormat": _format(entry.path),
        "sha256": digest.hexdigest(),
    }


def _format(path: str) -> str:
    return _FORMATS.get(PurePosixPath(path).suffix.lower(), "application/octet-stream")


def _file_set(entries: Sequence[TreeEntry]) -> Json:
    return {
        "@type": "cr:FileSet",
        "@id": TABLE,
        "name": TABLE,
        "description": "The files whose rows, in the order of their paths, are the table.",
        "encodingFormat": _format(entries[0].path),
        "includes": [entry.path for entry in entries],
    }


def _records(version: DatasetVersion, where: Mapping[str, object]) -> Json:
    names = _identifiers([column.name for column in version.made.schema])
    return {
        "@type": "cr:RecordSet",
        "@id": RECORDS,
        "name": version.made.name,
        "field": [_field(column, names[column.name], where) for column in version.made.schema],
    }


def _field(column: Column, identifier: str, where: Mapping[str, object]) -> Json:
    return {
        "@type": "cr:Field",
        "@id": f"{RECORDS}/{identifier}",
        "name": column.name,
        "dataType": next((kind for pattern, kind in _TYPES if pattern.match(column.dtype)), "sc:Text"),
        "source": {**where, "extract": {"column": column.name}},
    }


def _identifiers(names: Sequence[str]) -> dict[str, str]:
    """By name, an identifier without blanks and what else an IRI does not hold; a name that is one stays."""
    plain = {name: re.sub(r"[^\w./\-]+", "_", name) for name in names}
    taken = {name for name in names if plain[name] == name}
    found: dict[str, str] = {}
    for name in names:
        identifier, number = plain[name], 2
        while name != identifier and identifier in taken:
            identifier, number = f"{plain[name]}_{number}", number + 1
        taken.add(identifier)
        found[name] = identifier
    return found


def _license(store: Store, version: DatasetVersion, said: str) -> str:
    known = said or _license_of_card(store, version)
    if not known or known == "unknown":
        raise Invalid(
            f"nobody said under which licence {version.ref} may be used, and Croissant requires it",
            code="croissant.no_license",
            hint=f"Say --license cc-by-4.0, here or in the card: charkh card make {version.ref} --license cc-by-4.0.",
        )
    return known if "://" in known else f"{SPDX}{known}"


def _license_of_card(store: Store, version: DatasetVersion) -> str:
    card = store.queries.ask(CardOf(about=version.subject))
    if card is None:
        return ""
    front = parse_document(read_markdown(store, card)).front
    text = "".join(part.text for part in front) if front else ""
    return top_keys(text).get("license", "").strip("'\"")


def _provenance(store: Store, version: DatasetVersion) -> Json:
    derived = [
        {"@id": f"urn:charkh:{edge.target}"}
        for edge in store.queries.ask(EdgesFrom(subject=version.subject))
        if edge.relation != "produced_by"
    ]
    if version.made.parent:
        derived.append({"@id": f"urn:charkh:dataset:{version.made.parent}"})
    told: Json = {"prov:wasAttributedTo": {"@type": "prov:Agent", "prov:label": version.actor}}
    if derived:
        told["prov:wasDerivedFrom"] = derived
    if version.made.made_by:
        told["prov:wasGeneratedBy"] = {"@type": "prov:Activity", "@id": f"urn:charkh:run:{version.made.made_by}"}
    return told
