"""Where a key lies: the same number in every process, another one for every rollout."""

import hashlib


def hashed_share(rollout: str, key: str) -> float:
    """A number in [0, 1) that depends on the rollout and the key alone (BLAKE2b)."""
    said = key.encode("utf-8", "surrogatepass")
    # One rollout's first tenth must not be the next one's: it has been tried on already.
    digest = hashlib.blake2b(said, digest_size=7, key=rollout.encode()[:64]).digest()
    return int.from_bytes(digest) / 2**56


def about(text: str) -> bytes:
    """16 bytes that name an answer by its prediction id or by a client's key."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
