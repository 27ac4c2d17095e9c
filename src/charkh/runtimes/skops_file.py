"""The skops file: a full parse that judges it by structure, and a form whose bytes do not depend on memory addresses.

The verdict is taken on the archive and on every node of its `schema.json`, against a fixed list, before
skops sees the file; skops then checks again by its own list (CVE-2024-37065, CVE-2025-54412 and
CVE-2025-54413 were holes in one list alone). One archive, one meaning: bytes before, between or behind
its members, a member that the schema does not name, or two of one name make it ambiguous, which counts as code.
"""

import io
import json
import struct
import zipfile
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from charkh.runtimes.trusted_types import TRUSTED, TRUSTED_PARTIALS

SCHEMA = "schema.json"
PROTOCOLS = frozenset({2})
MAX_RATIO = 200
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_END_RECORD = 22
_NODE_KEYS = frozenset(
    {"__class__", "__module__", "__loader__", "__id__", "__reduce__", "content", "key_types", "type", "file", "shape"}
) | {"is_json"}
_ROOT_KEYS = frozenset({"protocol", "_skops_version"})
_BIT_GENERATORS = frozenset({"MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64"})


def is_archive(data: bytes) -> bool:
    """Whether some reader would take the bytes for a zip archive, wherever it begins in them."""
    return zipfile.is_zipfile(io.BytesIO(data)) or data.startswith(b"PK\x03\x04")


class Verdict(NamedTuple):
    """What a file is found to hold.

    Attributes:
        reasons: why it is more than listed types; empty when it is a skops file of listed types alone.
        names: every listed name that it carries, to hand to skops; none where there are reasons.
    """

    reasons: tuple[str, ...]
    names: tuple[str, ...] = ()


def judge_archive(data: bytes) -> Verdict:
    """Judge an archive by its structure and by every node of its schema."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            reasons = list(_archive_reasons(archive, data))
            if reasons:
                return Verdict(tuple(reasons))
            schema = json.loads(archive.read(SCHEMA))
            named = set(archive.namelist())
    except (zipfile.BadZipFile, KeyError, ValueError, RecursionError, NotImplementedError, struct.error) as error:
        return Verdict((f"it is not a readable skops archive: {error}",))
    found = tuple(dict.fromkeys(_schema_reasons(schema, named)))
    return Verdict(found, () if found else tuple(sorted({_name_of(node) for node in _nodes(schema)})))


def canonical(data: bytes) -> bytes:
    """The same skops file with object addresses renumbered and dates fixed: equal models have equal bytes."""
    numbers: dict[int, int] = {}
    files: dict[str, str] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        schema = json.loads(archive.read(SCHEMA))
        for node in _nodes(schema):
            if "__id__" in node:
                node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
            if "file" in node:
                suffix = node["file"].rpartition(".")[2]
                node["file"] = files.setdefault(node["file"], f"{len(files) + 1}.{suffix}")
        members = [(new, archive.read(old)) for old, new in files.items()]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        schema_text = json.dumps(schema, separators=(",", ":")).encode()
        for name, content in [(SCHEMA, schema_text), *members]:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)
    return out.getvalue()


def _archive_reasons(archive: zipfile.ZipFile, data: bytes) -> Iterator[str]:
    members = sorted(archive.infolist(), key=lambda info: info.header_offset)
    names = [info.filename for info in members]
    if SCHEMA not in names:
        yield f"it is a zip archive without {SCHEMA}, so not of skops"
    if len(set(names)) != len(names):
        yield "two members of the archive have one name"
    if sum(info.file_size for info in members) > MAX_RATIO * len(data):
        yield f"it unpacks to more than {MAX_RATIO} times its size"
    end = 0
    for info in members:
        if info.header_offset != end:
            yield f"bytes that belong to no member stand before {info.filename!r}"
            return
        if info.flag_bits & 0x9 or info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            yield f"{info.filename!r} is encrypted, streamed or compressed in an unusual way"
            return
        header = _LOCAL_HEADER.unpack_from(data, end)
        name = data[end + _LOCAL_HEADER.size :][: header[9]]
        if name != info.filename.encode() or header[7] != info.compress_size or header[3] != info.compress_type:
            yield f"the two headers of {info.filename!r} disagree"
            return
        end += _LOCAL_HEADER.size + header[9] + header[10] + info.compress_size
    if data[end : end + 4] != b"PK\x01\x02" or not _directory_ends_the_file(data, end):
        yield "bytes that belong to no member stand behind the last one"


def _directory_ends_the_file(data: bytes, start: int) -> bool:
    record = data[-_END_RECORD:]
    if record[:4] != b"PK\x05\x06" or record[20:] != b"\0\0":
        return False
    size, offset = struct.unpack_from("<2L", record, 12)
    return offset == start and start + size + _END_RECORD == len(data)


def _schema_reasons(schema: Any, named: set[str]) -> Iterator[str]:
    if not isinstance(schema, dict):
        yield f"{SCHEMA} is not an object"
        return
    root = cast(dict[str, Any], schema)
    if type(root.get("protocol")) is not int or root["protocol"] not in PROTOCOLS:
        yield f"its skops protocol {root.get('protocol')!r} is none that this runtime knows"
    files: set[str] = {SCHEMA}
    stack: list[Any] = [{key: value for key, value in root.items() if key not in _ROOT_KEYS}]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack.extend(cast(list[Any], value))
        elif isinstance(value, dict):
            mapping = cast(dict[str, Any], value)
            yield from _node_reasons(mapping) if "__loader__" in mapping else _content_reasons(mapping)
            if "__loader__" in mapping and "file" in mapping:
                files.add(str(mapping["file"]))
            stack.extend(mapping.values())
    for name in sorted(files ^ named):
        yield f"the schema and the archive disagree about the member {name!r}"


def _node_reasons(node: dict[str, Any]) -> Iterator[str]:
    loader, name = node["__loader__"], _name_of(node)
    if not isinstance(loader, str) or loader not in TRUSTED:
        yield f"it holds {name} as {loader}, which may call functions"
    elif name not in TRUSTED[loader]:
        yield f"it holds {name}, which is not on the list of known types"
    if not node.keys() <= _NODE_KEYS:
        yield f"a node of {name} has keys that skops never writes"
    if loader == "PartialNode":
        function = node.get("content", {}).get("func", {})
        if function.get("__loader__") != "FunctionNode" or _name_of(function) not in TRUSTED_PARTIALS:
            yield f"it calls {_name_of(function)} with arguments of its own"
    if loader == "RandomGeneratorNode" and _bit_generator(node) not in _BIT_GENERATORS:
        yield "it names an unknown random bit generator"


def _content_reasons(mapping: dict[str, Any]) -> Iterator[str]:
    if any(key.startswith("__") for key in mapping):
        yield "an attribute in it has a name between double underscores"


def _bit_generator(node: dict[str, Any]) -> str:
    try:
        return str(json.loads(node["content"]["bit_generator"]["content"]["bit_generator"]["content"]))
    except (KeyError, TypeError, ValueError):
        return ""


def _name_of(node: dict[str, Any]) -> str:
    return f"{node.get('__module__')}.{node.get('__class__')}"


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    """Every node in the order of a depth-first reading."""
    stack: list[Any] = [schema]
    while stack:
        value = stack.pop()
        if isinstance(value, list):
            stack.extend(reversed(cast(list[Any], value)))
        elif isinstance(value, dict):
            mapping = cast(dict[str, Any], value)
            if "__loader__" in mapping:
                yield mapping
            stack.extend(reversed(mapping.values()))
