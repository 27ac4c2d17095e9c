"""Whether a file holds data alone, whoever reads it: text, JSON, arrays of numbers, or tensors as safetensors."""

import io
import json
import zipfile
from typing import Any

import numpy as np

from charkh.runtimes.pickles import pickle_reasons

_PROGRAMS = (".py", ".pyc", ".pyi", ".so", ".dll", ".dylib", ".sh", ".bat", ".ipynb", ".jar", ".js", ".pkl", ".pickle")
MAX_HEADER = 64 * 2**20


def plain_reasons(name: str, data: bytes) -> tuple[str, ...]:
    """Why this file is more than data; empty where it is text, JSON, `.npy`, `.npz` or safetensors."""
    if name.lower().endswith(_PROGRAMS):
        return ("it is named like a program or a pickle",)
    if not data:
        return ("it is empty, and what is unknown counts as code",)
    pickled = pickle_reasons(data)
    if pickled:
        return pickled
    if data.startswith(b"\x93NUMPY"):
        return () if _is_array(data) else ("it is no whole array of numbers",)
    if data.startswith(b"PK\x03\x04"):
        return () if _is_arrays(data) else ("it is an archive of something else than arrays of numbers",)
    if _is_text(data) or is_safetensors(data):
        return ()
    return ("it is neither text nor arrays nor safetensors, and what is unknown counts as code",)


def is_safetensors(data: bytes) -> bool:
    """Whether it is one whole file of safetensors: a header, and exactly the bytes that it names
    (https://huggingface.co/docs/safetensors)."""
    size = int.from_bytes(data[:8], "little")
    if not 2 <= size <= min(MAX_HEADER, len(data) - 8) or data[8:9] != b"{":
        return False
    try:
        header: Any = json.loads(data[8 : 8 + size])
        ranges = sorted(tuple(each["data_offsets"]) for name, each in header.items() if name != "__metadata__")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return False
    end = 0
    for first, last in ranges:
        if first != end or not isinstance(last, int) or last < first:
            return False
        end = last
    return 8 + size + end == len(data)


def _is_array(data: bytes) -> bool:
    file = io.BytesIO(data)
    try:
        array: Any = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError, OverflowError, MemoryError, SyntaxError, TypeError):
        return False
    return not array.dtype.hasobject and not file.read(1)


def _is_arrays(data: bytes) -> bool:
    """An archive of arrays from its first byte to its last, with nothing between."""
    if data[-22:-18] != b"PK\x05\x06":
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            names = {info.filename for info in infos}
            whole = len(names) == len(infos) and not min(info.header_offset for info in infos)
            small = sum(info.file_size for info in infos) <= 200 * len(data)
            return whole and small and all(name.endswith(".npy") and _is_array(archive.read(name)) for name in names)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError):
        return False


def _is_text(data: bytes) -> bool:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return False
    return "\0" not in text and not text.startswith("#!")
