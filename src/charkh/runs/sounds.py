"""Sounds as WAV (RIFF, 16-bit PCM), by the standard library; arrays of other libraries where they are given."""

import array
import io
import os
import sys
import wave
from collections.abc import Sequence
from typing import Any, cast

from charkh.core.errors import Invalid
from charkh.runs.pictures import Encoded, read_file

FULL = 32767
MOST_CHANNELS = 8


def encode_audio(samples: Any, rate: int) -> Encoded:
    """A sound from a path or the bytes of a WAV, MP3, FLAC or Ogg, or from samples.

    Args:
        samples: one number a sample, or samples by channels; floats from -1 to 1, whole numbers of 16 bits.
        rate: samples a second; a file says its own.

    Raises:
        Invalid: it is no sound, or samples come without a rate.
        OSError: the file cannot be read.
    """
    if isinstance(samples, str | os.PathLike):
        samples = read_file(cast("str | os.PathLike[str]", samples))
    if isinstance(samples, bytes | bytearray | memoryview):
        return _sniffed(bytes(cast("bytes | bytearray", samples)))
    if not isinstance(rate, int) or not 0 < rate < 1 << 24:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise Invalid(
            f"{rate!r} is no number of samples a second",
            code="run.bad_media",
            hint="Give the rate, such as 44100.",
        )
    words, channels = _words(samples)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(words)
    seconds = len(words) / 2 / channels / rate
    return Encoded(buffer.getvalue(), "audio/wav", {"rate": rate, "channels": channels, "seconds": seconds})


def _words(samples: Any) -> tuple[bytes, int]:
    tensor = getattr(samples, "detach", None)
    if callable(tensor):
        plain: Any = tensor()
        samples = plain.cpu().numpy()
    if hasattr(samples, "__array__"):
        return _array_words(samples)
    if isinstance(samples, Sequence) and not isinstance(samples, str):
        return _listed_words(cast(Sequence[Any], samples)), 1
    raise _no_sound(samples)


def _array_words(samples: Any) -> tuple[bytes, int]:
    import numpy as np  # whoever has an array has loaded it

    found = np.asarray(samples)
    if found.ndim == 2 and found.shape[0] <= MOST_CHANNELS < found.shape[1]:
        found = found.T
    if found.ndim not in (1, 2) or found.dtype.kind not in "iuf" or (found.ndim == 2 and found.shape[1] > 8):
        raise _no_sound(samples)
    if found.dtype.kind == "f":
        plain = np.nan_to_num(found.astype(np.float64), nan=0.0, posinf=1.0, neginf=-1.0)
        found = np.rint(np.clip(plain, -1.0, 1.0) * FULL)
    words = np.clip(found, -FULL - 1, FULL).astype("<i2")
    return words.tobytes(), 1 if words.ndim == 1 else int(words.shape[1])


def _listed_words(samples: Sequence[Any]) -> bytes:
    try:
        whole = all(isinstance(each, int) for each in samples)
        scaled = samples if whole else [round(max(-1.0, min(1.0, float(each))) * FULL) for each in samples]
        words = array.array("h", (max(-FULL - 1, min(FULL, int(each))) for each in scaled))
    except (TypeError, ValueError) as error:
        raise _no_sound(samples) from error
    if sys.byteorder == "big":
        words.byteswap()
    return words.tobytes()


def _sniffed(data: bytes) -> Encoded:
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return Encoded(data, "audio/wav", _wav_details(data))
    for signature, mime in ((b"fLaC", "audio/flac"), (b"OggS", "audio/ogg"), (b"ID3", "audio/mpeg")):
        if data.startswith(signature):
            return Encoded(data, mime, {})
    if len(data) > 1 and data[0] == 0xFF and data[1] & 0xE0 == 0xE0:
        return Encoded(data, "audio/mpeg", {})
    raise _no_sound(data)


def _wav_details(data: bytes) -> dict[str, Any]:
    try:
        with wave.open(io.BytesIO(data)) as file:
            rate, channels = file.getframerate(), file.getnchannels()
            return {"rate": rate, "channels": channels, "seconds": file.getnframes() / rate if rate else 0.0}
    except (wave.Error, EOFError):
        # Float and compressed WAV are beyond the standard library; they are kept as they are.
        return {}


def _no_sound(value: object) -> Invalid:
    return Invalid(
        f"{type(value).__name__} is no sound",
        code="run.bad_media",
        hint="Give samples and their rate, or a path or the bytes of a WAV, MP3, FLAC or Ogg file.",
    )
