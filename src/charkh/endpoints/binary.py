"""Binary tensors of the Open Inference Protocol: bytes behind the JSON, as tritonclient sends them by default.

The header `Inference-Header-Content-Length` says where the JSON ends. Numbers are little-endian, row after row; a text
is its length (unsigned, 32 bits, little-endian) and its bytes. No I/O.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from charkh.endpoints.wire import DATATYPES, InferInput, InferRequest, bad_request

SIZE = "binary_data_size"


def split_body(body: bytes, length: str) -> tuple[bytes, bytes]:
    """The JSON and what stands behind it.

    Args:
        body: of the request.
        length: value of the header, or empty.

    Raises:
        Invalid: the header is no number of bytes of the body.
    """
    if not length:
        return body, b""
    if not length.isascii() or not length.isdigit() or not 0 < int(length) <= len(body):
        raise bad_request(f"Inference-Header-Content-Length is {length[:40]!r}, and the body has {len(body)} bytes")
    return body[: int(length)], body[int(length) :]


def split_tail(request: InferRequest, tail: bytes) -> dict[str, bytes]:
    """The bytes of each binary input.

    Raises:
        Invalid: the sizes do not add up to what came.
    """
    parts: dict[str, bytes] = {}
    position = 0
    for each in request.inputs:
        size = each.parameters.get(SIZE)
        if size is None:
            continue
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(tail) - position:
            raise bad_request(
                f"input {each.name!r}: {SIZE} is {size!r}, and {len(tail) - position} bytes are left behind the JSON",
                "Send Inference-Header-Content-Length with the bytes of the JSON.",
                tensor=each.name,
            )
        parts[each.name] = tail[position : position + size]
        position += size
    if position != len(tail):
        raise bad_request(f"{len(tail) - position} bytes behind the JSON belong to no input")
    return parts


def read_binary(came: InferInput, raw: bytes, count: int) -> npt.NDArray[Any]:
    """The flat values of a binary tensor, in the datatype that it came in.

    Raises:
        Invalid: there are not as many as the shape says.
    """
    dtype = DATATYPES[came.datatype]
    if dtype.kind == "O":
        return _texts(came, raw, count)
    size = count * (2 if came.datatype == "BF16" else dtype.itemsize)
    if len(raw) != size:
        raise bad_request(
            f"input {came.name!r}: expected {size} bytes for {came.datatype} of shape "
            f"{list(came.shape)}, got {len(raw)}",
            tensor=came.name,
        )
    if dtype.kind == "b" and raw.translate(None, b"\x00\x01"):
        raise bad_request(f"input {came.name!r}: a BOOL is 0 or 1", tensor=came.name)
    if came.datatype == "BF16":
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(raw, f"<{dtype.str[1:]}").astype(dtype, copy=False)


def write_binary(tensor: npt.NDArray[Any], datatype: str) -> bytes:
    """A tensor's bytes, row after row, in the datatype that the answer names; BF16 is cut, not rounded."""
    if datatype == "BYTES":
        cells = [_bytes(cell) for cell in tensor.ravel().tolist()]
        return b"".join(len(cell).to_bytes(4, "little") + cell for cell in cells)
    if datatype == "BF16":
        return (tensor.astype(np.float32, copy=False).view(np.uint32) >> 16).astype("<u2").tobytes()
    return tensor.astype(DATATYPES[datatype].newbyteorder("<"), copy=False).tobytes()


def _bytes(cell: object) -> bytes:
    return cell if isinstance(cell, bytes) else b"" if cell is None else str(cell).encode(errors="replace")


def _texts(came: InferInput, raw: bytes, count: int) -> npt.NDArray[Any]:
    cells: list[str | None] = []
    position = 0
    while position + 4 <= len(raw):
        end = position + 4 + int.from_bytes(raw[position : position + 4], "little")
        if end > len(raw):
            break
        cells.append(_text(came, raw[position + 4 : end]))
        position = end
    if position != len(raw) or len(cells) != count:
        raise bad_request(
            f"input {came.name!r}: expected {count} texts for shape {list(came.shape)}, got {len(cells)} in "
            f"{position} of {len(raw)} bytes",
            tensor=came.name,
        )
    texts = np.empty(count, object)
    texts[:] = cells
    return texts


def _text(came: InferInput, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise bad_request(f"input {came.name!r}: a text is not UTF-8", tensor=came.name) from error
