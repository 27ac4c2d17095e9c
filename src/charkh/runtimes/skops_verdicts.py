"""The verdicts on skops files, judged without importing what they name; the same bytes are judged once."""

from charkh.core.digests import digest_of
from charkh.runtimes.pickles import pickle_reasons
from charkh.runtimes.skops_file import Verdict, is_archive, judge_archive

REMEMBERED = 64
"""Verdicts that are kept."""
_verdicts: dict[str, Verdict] = {}


def judge(data: bytes) -> Verdict:
    """The verdict on a file's bytes; remembered by their digest, because saving and loading ask for the same one."""
    digest = digest_of(data)
    verdict = _verdicts.get(digest)
    if verdict is None:
        if len(_verdicts) >= REMEMBERED:
            _verdicts.clear()
        verdict = _verdicts[digest] = _judge_anew(data)
    return verdict


def _judge_anew(data: bytes) -> Verdict:
    pickled = pickle_reasons(data)
    if is_archive(data) and not pickled:
        return judge_archive(data)
    if pickled:
        return Verdict(pickled)
    if data.startswith(b"\x89HDF\r\n\x1a\n"):
        return Verdict(("it is an HDF5 file, which can name code and other files",))
    return Verdict(("it is no skops file, and what is unknown counts as code",))
