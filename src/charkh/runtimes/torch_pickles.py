"""Whether the pickle of plain tensors that PyTorch writes beside a program builds tensors alone."""

import io
import pickletools
import re
import zipfile
from collections.abc import Iterator

from charkh.runtimes.pickles import HARMLESS

_STORAGES = "Float Double Half BFloat16 Byte Char Short Int Long Bool"
_NAMES = frozenset(
    [
        "torch._utils _rebuild_tensor_v2",
        "collections OrderedDict",
        *(f"torch {each}Storage" for each in _STORAGES.split()),
    ]
)
_CALLS = frozenset({"REDUCE", "BINPERSID"})
_MEMBER = re.compile(
    r"[^/]+/(?:data\.pkl|data/\d+|byteorder|version|\.format_version|\.storage_alignment|\.data/serialization_id)"
)


def sample_reasons(data: bytes) -> tuple[str, ...]:
    """Why a member of sample inputs is more than tensors; empty where it is empty or they are all that it has."""
    if not data:
        return ()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = archive.namelist()
            pickles = [name for name in names if name.endswith("data.pkl")]
            # Anything else might be a scripted module, or the old format that is a pickle from its first byte.
            plain = data.startswith(b"PK\x03\x04") and all(_MEMBER.fullmatch(name) for name in names)
            if len(pickles) != 1 or not plain or archive.infolist()[0].header_offset:
                return ("it is not the one pickle that PyTorch writes",)
            return tuple(dict.fromkeys(_reasons(archive.read(pickles[0]))))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError, EOFError, LookupError) as error:
        return (f"it is no archive of PyTorch's: {error}",)


def _reasons(pickled: bytes) -> Iterator[str]:
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name == "GLOBAL":
            if argument not in _NAMES:
                yield f"it imports {str(argument).replace(' ', '.')}"
        elif opcode.name not in HARMLESS and opcode.name not in _CALLS:
            yield f"its pickle has the instruction {opcode.name}"
