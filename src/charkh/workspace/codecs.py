"""How models become step outputs: files by name, so that a cached step gives back what would be served."""

import io
from collections.abc import Callable, Mapping, Sequence

import msgspec
import polars as pl

from charkh.core.errors import Corrupt
from charkh.models.candidate import Candidate, CandidateParts
from charkh.ports.runtimes import ModelRuntime

PARTS = "candidate.json"
EXAMPLE = "example.parquet"
FILES = "files/"


class CandidateCodec:
    """The codec of models that are not registered yet (`charkh.pipelines.values.Codec`).

    Args:
        runtimes: gives what loads them, when one is read back.
    """

    name = "model"

    def __init__(self, runtimes: Callable[[], Sequence[ModelRuntime]]) -> None:
        self._runtimes = runtimes

    def accepts(self, value: object) -> bool:
        """Whether it is a candidate."""
        return isinstance(value, Candidate)

    def encode(self, value: Candidate) -> Mapping[str, bytes]:
        """Its parts, its example and the model's own files."""
        example = io.BytesIO()
        value.example.write_parquet(example, compression="zstd")
        return {
            PARTS: msgspec.json.encode(value.parts, order="sorted"),
            EXAMPLE: example.getvalue(),
            **{f"{FILES}{path}": data for path, data in value.files.items()},
        }

    def decode(self, files: Mapping[str, bytes]) -> Candidate:
        """The candidate; its model is loaded when it is first asked, and then judged for safety like any other.

        Raises:
            Corrupt: the files are no candidate's.
        """
        try:
            parts = msgspec.json.decode(files[PARTS], type=CandidateParts)
            example = pl.read_parquet(io.BytesIO(files[EXAMPLE]))
        except (KeyError, msgspec.MsgspecError, pl.exceptions.PolarsError) as error:
            raise Corrupt(f"a stored model cannot be read: {error}", code="model.bad_candidate") from error
        own = {path.removeprefix(FILES): data for path, data in files.items() if path.startswith(FILES)}
        return Candidate(parts, own, example, self._runtimes())
