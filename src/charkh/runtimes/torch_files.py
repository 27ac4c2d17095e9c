"""What is in a `.pt2` file of `torch.export.save`, read from its bytes; PyTorch is not needed for it.

`torch.export.load` evaluates texts of the file as Python (the expressions of sizes, the guards), looks its operators up
by attribute, and unpickles sample inputs and whatever a configuration calls pickled. So charkh never calls it: the
graph is read here, by a fixed list of operators, and every part that PyTorch would run is judged, too, so that a file
that is found inert is harmless to who loads it with PyTorch. The layout is
https://pytorch.org/docs/stable/export/pt2_archive.html.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

from charkh.runtimes.refusal import foreign_reasons
from charkh.runtimes.torch_operators import is_known
from charkh.runtimes.torch_pickles import sample_reasons

MAX_DEPTH = 40
ITEM_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 7: 4, 8: 8, 12: 1, 13: 2}
"""Bytes of an element by PyTorch's number of its type; others cannot be loaded."""

_PLAIN = frozenset({"archive_format", "archive_version", "byteorder", ".format_version", ".storage_alignment"})
_FOLDERS = frozenset({".data", "models", "data/weights", "data/constants"})
_NEVER = ("as_graph", "as_operator", "as_custom_obj", "as_string_to_argument", "as_nested_tensors")
_TREES = frozenset({None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"})
_FUNCTIONS = (
    "Add|Mul|Pow|Max|Min|Mod|FloorDiv|CeilDiv|CleanDiv|PythonMod|ModularIndexing|IntTrueDiv|FloatTrueDiv|"
    "PowByNatural|CeilToInt|FloorToInt|TruncToInt|ToFloat|Identity|Integer|Rational|"
    "Eq|Ne|Lt|Le|Gt|Ge|Equality|Unequality|StrictLessThan|LessThan|StrictGreaterThan|GreaterThan|And|Or|Not"
)
_EXPRESSION = re.compile(
    rf"(?:Symbol\('[a-z]+\d+'(?:, (?:positive|integer|nonnegative)=(?:True|False))*\)|(?:{_FUNCTIONS})\("
    r"|\b[su]\d+\b|\b\d+(?:\.\d+)?\b|True|False|//|[-+*/(), <>=&|~])+"
)
_GUARD = re.compile(
    r"(?:L(?:\[(?:'\w+'|\d+)\])+(?:\.size\(\)\[\d+\]|\.ndim)?|(?:Max|Min|Mod|FloorDiv|not|and|or)\b|\b\d+\b"
    r"|[-+*/%(), <>=!])+"
)


class Weight(NamedTuple):
    """A tensor of the file: its bytes, PyTorch's number of its type, and how they are laid out."""

    data: bytes
    dtype: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int


class Taken(NamedTuple):
    """A tensor that the program takes: its name in the graph and for a caller, its type, and its sizes; None is any."""

    slot: str
    name: str
    dtype: int
    sizes: tuple[int | None, ...]


class Program(NamedTuple):
    """A graph: tensors by name in it, what it takes, its nodes in order, what it gives by name, and what the module
    calls its tensors, its parameters above all."""

    weights: Mapping[str, Weight]
    inputs: tuple[Taken, ...]
    nodes: tuple[Mapping[str, Any], ...]
    outputs: tuple[tuple[str, str], ...]
    names: Mapping[str, str]
    parameters: tuple[str, ...]


class Archive(NamedTuple):
    """The members of a file below its one root folder, and the name of its one program."""

    members: Mapping[str, bytes]
    program: str


class _NotProgram(ValueError):
    """It is no archive of a program that charkh reads; the message says why."""


def program_reasons(data: bytes) -> tuple[str, ...]:
    """Why this file is not a whole program of known operators with nothing in it that PyTorch would run."""
    try:
        archive = _open(data)
        document = json.loads(archive.members[f"models/{archive.program}.json"])
        reasons = list(dict.fromkeys(_reasons(archive, document)))
        if not reasons:
            _program(archive, document)
    except _NotProgram as error:
        return foreign_reasons(data, "PyTorch program", str(error))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        return foreign_reasons(data, "PyTorch program", str(error))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        return foreign_reasons(data, "PyTorch program", f"its parts do not fit each other: {error!r}"[:200])
    return tuple(reasons)


def read_program(data: bytes) -> Program:
    """The program of a file that `program_reasons` has nothing against."""
    archive = _open(data)
    return _program(archive, json.loads(archive.members[f"models/{archive.program}.json"]))


def plain_archive(data: bytes) -> bytes:
    """The same program without sample inputs, guards, stack traces and file paths: equal programs have equal bytes."""
    archive = _open(data)
    name = f"models/{archive.program}.json"
    document = json.loads(archive.members[name])
    document["guards_code"] = []
    document["graph_module"]["metadata"] = {}
    for node in document["graph_module"]["graph"]["nodes"]:
        node["metadata"] = {}
    members = {each: content for each, content in archive.members.items() if each != ".data/serialization_id"}
    members[name] = json.dumps(document, separators=(",", ":")).encode()
    members[f"data/sample_inputs/{archive.program}.pt"] = b""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as written:
        for each in sorted(members):
            written.writestr(zipfile.ZipInfo(f"archive/{each}", (1980, 1, 1, 0, 0, 0)), members[each])
    return out.getvalue()


def _open(data: bytes) -> Archive:
    if not data.startswith(b"PK\x03\x04") or data[-22:-18] != b"PK\x05\x06" or data[-2:] != b"\0\0":
        raise _NotProgram("it is no zip archive from its first byte to its last")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        if min(info.header_offset for info in infos) or len({info.filename for info in infos}) != len(infos):
            raise _NotProgram("bytes stand before its first member, or two have one name")
        if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
            raise _NotProgram("a member is compressed, which PyTorch never does")
        if sum(info.file_size for info in infos) > len(data):
            raise _NotProgram("its members overlap")
        roots = {info.filename.partition("/")[0] for info in infos}
        if len(roots) != 1:
            raise _NotProgram("its members have no one root folder")
        members = {info.filename.partition("/")[2]: archive.read(info) for info in infos}
    if members.get("archive_format") != b"pt2" or members.get("byteorder", b"little") != b"little":
        raise _NotProgram("it does not say that it is a pt2 archive of little-endian tensors")
    programs = [name for name in members if name.startswith("models/")]
    if len(programs) != 1 or not programs[0].endswith(".json"):
        raise _NotProgram(f"it holds {len(programs)} programs, and charkh reads one")
    return Archive(members, programs[0][len("models/") : -len(".json")])


def _reasons(archive: Archive, document: Any) -> Iterator[str]:
    yield from _member_reasons(archive)
    yield from _text_reasons(document, 0)
    for guard in document.get("guards_code", ()):
        if not _GUARD.fullmatch(guard):
            yield f"PyTorch would run this text of it as Python: {guard[:80]!r}"
    module = document["graph_module"]
    for node in module["graph"]["nodes"]:
        if not is_known(node["target"]):
            yield f"it names the operator {node['target'][:80]!r}, {_advice(node['target'])}"
        if any(each["name"] in {"train", "training"} and each["arg"].get("as_bool") for each in node["inputs"]):
            yield f"{node.get('name')!r} is in training: export the model after `model.eval()`"
    for entry in module["module_call_graph"]:
        for spec in _specs(entry):
            yield from _tree_reasons(spec)
    kinds = {next(iter(each)) for each in module["signature"]["input_specs"]}
    for kind in sorted(kinds - {"parameter", "buffer", "tensor_constant", "user_input"}):
        yield f"it takes a {kind}"
    kinds = {next(iter(each)) for each in module["signature"]["output_specs"]}
    for kind in sorted(kinds - {"user_output"}):
        yield f"it gives a {kind}: export the model after `model.eval()`"


def _advice(target: str) -> str:
    if is_known(target.replace("_.", ".", 1)):
        return "which changes a tensor in place: export it with `.run_decompositions()`"
    return "which is not among those that only compute"


def _member_reasons(archive: Archive) -> Iterator[str]:
    for name, content in archive.members.items():
        folder, _, _ = name.rpartition("/")
        if name == f"data/sample_inputs/{archive.program}.pt":
            yield from (f"sample inputs: {reason}" for reason in sample_reasons(content))
        elif name.startswith("data/aotinductor/"):
            yield f"it holds machine code: {name}"
        elif name not in _PLAIN and folder not in _FOLDERS:
            yield f"nothing of the format is named {name!r}"
    for kind in ("weights", "constants"):
        for key, entry in _config(archive, kind).items():
            if entry["use_pickle"] is not False or not entry.get("tensor_meta"):
                yield f"{key} is a pickle"


def _text_reasons(value: Any, depth: int) -> Iterator[str]:
    """What anywhere in the document PyTorch would evaluate, or would call beside its operators."""
    if depth > MAX_DEPTH:
        raise _NotProgram("it is nested too deep")
    if isinstance(value, dict):
        for key, inner in cast("dict[str, Any]", value).items():
            if key == "expr_str" and not (isinstance(inner, str) and _EXPRESSION.fullmatch(inner)):
                yield f"PyTorch would run this text of it as Python: {str(inner)[:80]!r}"
            elif key in _NEVER:
                yield f"a node takes {key.removeprefix('as_').replace('_', ' ')}, which charkh does not read"
            yield from _text_reasons(inner, depth + 1)
    elif isinstance(value, list):
        for inner in cast("list[Any]", value):
            yield from _text_reasons(inner, depth + 1)


def _specs(entry: Any) -> tuple[str | None, str | None]:
    """How a call's inputs and outputs are nested; none where a module is not called from outside."""
    signature: Any = entry.get("signature")
    return (signature.get("in_spec"), signature.get("out_spec")) if signature else (None, None)


def _tree_reasons(spec: str | None) -> Iterator[str]:
    for kind in {node["type"] for node in _tree_nodes(spec)} - _TREES:
        yield f"its inputs or outputs are of the class {str(kind)[:80]!r}; tuples, lists and dictionaries are read"


def _tree_nodes(spec: str | None) -> Iterator[Any]:
    if not spec:
        return
    _, root = json.loads(spec)
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node["children_spec"])


def _config(archive: Archive, kind: str) -> dict[str, Any]:
    text = archive.members.get(f"data/{kind}/{archive.program}_{kind}_config.json")
    return json.loads(text)["config"] if text else {}


def _program(archive: Archive, document: Any) -> Program:
    module = document["graph_module"]
    graph, signature = module["graph"], module["signature"]
    stored = {key: _weight(archive, "weights", each) for key, each in _config(archive, "weights").items()}
    stored |= {key: _weight(archive, "constants", each) for key, each in _config(archive, "constants").items()}
    weights: dict[str, Weight] = {}
    names: dict[str, str] = {}
    parameters: list[str] = []
    slots: list[str] = []
    for each in signature["input_specs"]:
        ((kind, spec),) = each.items()
        if kind == "user_input":
            slots.append(spec["arg"]["as_tensor"]["name"])
            continue
        key = next(spec[name] for name in ("parameter_name", "buffer_name", "tensor_constant_name") if name in spec)
        weights[spec["arg"]["name"]] = stored[key]
        names[spec["arg"]["name"]] = key
        parameters += [key] if kind == "parameter" else []
    taken, gives = next((_specs(each) for each in module["module_call_graph"] if not each["fqn"]), (None, None))
    inputs = [
        _taken(slot, name, graph["tensor_values"][slot])
        for slot, name in zip(slots, _leaves(taken, slots), strict=True)
    ]
    given = [each["user_output"]["arg"]["as_tensor"]["name"] for each in signature["output_specs"]]
    plain = ["output"] if len(given) == 1 else [f"output_{place}" for place in range(len(given))]
    outputs = tuple(zip(_leaves(gives, plain), given, strict=True))
    _check_order(graph["nodes"], {*weights, *slots}, given)
    return Program(weights, tuple(inputs), tuple(graph["nodes"]), outputs, names, tuple(parameters))


def _weight(archive: Archive, kind: str, entry: Any) -> Weight:
    meta = entry["tensor_meta"]
    data = archive.members[f"data/{kind}/{entry['path_name']}"]
    sizes, strides = (tuple(int(each["as_int"]) for each in meta[key]) for key in ("sizes", "strides"))
    offset = int(meta["storage_offset"]["as_int"])
    if len(sizes) != len(strides) or min((offset, *sizes, *strides)) < 0 or meta["layout"] != 7:
        raise _NotProgram(f"the tensor {entry['path_name']} is no strided one")
    last = offset + sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    if 0 not in sizes and (last + 1) * ITEM_SIZES[meta["dtype"]] > len(data):
        raise _NotProgram(f"the tensor {entry['path_name']} points outside its bytes")
    return Weight(data, meta["dtype"], sizes, strides, offset)


def _taken(slot: str, name: str, value: Any) -> Taken:
    ITEM_SIZES[value["dtype"]]
    return Taken(slot, name, value["dtype"], tuple(each.get("as_int") for each in value["sizes"]))


def _leaves(spec: str | None, otherwise: list[str]) -> list[str]:
    """The leaves' names: the key of a dictionary's; as given where there is none."""
    found: list[str] = []

    def walk(node: Any, key: str) -> None:
        if node["type"] is None:
            found.append(key or otherwise[len(found)])
            return
        inside = json.loads(node["context"]) if str(node["type"]).endswith("ict") else [""] * len(node["children_spec"])
        for child, each in zip(node["children_spec"], inside, strict=True):
            walk(child, str(each))

    if not spec:
        return otherwise
    walk(json.loads(spec)[1], "")
    return found if len(found) == len(otherwise) and len(set(found)) == len(found) else otherwise


def _check_order(nodes: list[Any], known: set[str], given: list[str]) -> None:
    for node in nodes:
        if not names_in([each["arg"] for each in node["inputs"]]) <= known:
            raise _NotProgram(f"the node {node.get('name')!r} takes what no node before it gives")
        known |= names_in(node["outputs"])
    if not set(given) <= known:
        raise _NotProgram("it gives what no node gives")


def names_in(value: Any) -> set[str]:
    """The names of values that arguments refer to."""
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value)
        own = {pairs[key] for key in ("name", "as_name") if isinstance(pairs.get(key), str)}
        return own.union(*(names_in(each) for each in pairs.values()))
    if isinstance(value, list):
        return set[str]().union(*(names_in(each) for each in cast("list[Any]", value)))
    return set()
