"""Sign a version's files, and verify that somebody did (OpenSSF Model Signing)."""

from collections.abc import Mapping, Sequence
from typing import Any

from charkh.core.errors import Denied
from charkh.core.events import Draft
from charkh.models.files import read_files
from charkh.models.find import find
from charkh.models.governance import SIGNED_KIND, ModelSigned, SignatureMade
from charkh.models.governance_index import SignaturesOf
from charkh.models.model import ModelVersion
from charkh.models.oms import (
    MAX_BUNDLE,
    PublicKey,
    covered_by,
    key_id,
    read_private_key,
    sign_statement,
    statement_of,
    verify_bundle,
)
from charkh.ports.store import Store


def sign(store: Store, ref: str, pem: bytes, *, password: bytes | None = None) -> ModelSigned:
    """Sign the files of a version with an EC key.

    Args:
        store: where the signature goes.
        ref: of the version.
        pem: the private key; it is used and forgotten.
        password: of the key, or None.

    Raises:
        NotFound: there is no such version, or its bytes are not here.
        Invalid: the key is none that can be used.
    """
    version = find(store, ref)
    key = read_private_key(pem, password)
    statement = statement_of(version.ref, read_files(store, version))
    return _record(store, version, statement, sign_statement(statement, key), key=key_id(key.public_key()))


def sign_keyless(store: Store, ref: str) -> ModelSigned:
    """Sign with an identity in place of a key, by way of Sigstore's public services.

    A browser opens, and name and signature go to a public log that keeps them for good.

    Raises:
        NotFound: there is no such version, or its bytes are not here.
        Unavailable: the library is not installed, or the services cannot be reached.
    """
    from charkh.models.sigstore_identity import sign_by_identity

    version = find(store, ref)
    statement = statement_of(version.ref, read_files(store, version))
    bundle, identity = sign_by_identity(statement)
    return _record(store, version, statement, bundle, identity=identity)


def verified_by(
    store: Store, version: ModelVersion, keys: Sequence[PublicKey], files: Mapping[str, bytes] | None = None
) -> SignatureMade:
    """The newest signature of a version by one of these keys, verified over its files.

    Args:
        store: where the signatures are.
        version: whose.
        keys: that are trusted.
        files: its content by path, where it has been read already: what is verified is then what is used.

    Raises:
        Denied: nobody of them has signed exactly these files; the message says what was found instead.
    """
    found = store.queries.ask(SignaturesOf(version=version.id))
    if not found:
        raise unsigned(version, "nobody has signed it")
    content = read_files(store, version) if files is None else files
    refusal: Denied | None = None
    for made in found:
        bundle = b"".join(store.vault.read(made.signed.bundle)) if made.signed.bundle.size <= MAX_BUNDLE else b""
        for key in keys:
            try:
                verify_bundle(bundle, content, key)
            except Denied as error:
                refusal = refusal if refusal is not None and error.code == "model.other_key" else error
                continue
            return made
    raise unsigned(version, refusal.message if refusal is not None else "no key is trusted") from refusal


def bundle_of(store: Store, version: ModelVersion) -> bytes | None:
    """The newest signature of a version as `model.sig` holds it, or None."""
    found = store.queries.ask(SignaturesOf(version=version.id))
    return b"".join(store.vault.read(found[0].signed.bundle)) if found else None


def _record(
    store: Store,
    version: ModelVersion,
    statement: Mapping[str, Any],
    bundle: bytes,
    *,
    key: str = "",
    identity: str = "",
) -> ModelSigned:
    kept = store.vault.put_bytes(bundle, "model.sig.json")
    store.vault.flush()
    body = ModelSigned(
        name=version.made.name,
        version=version.id,
        number=version.made.number,
        digest=version.made.tree.root,
        bundle=kept,
        covered=covered_by(statement["predicate"]["resources"]),
        key=key,
        identity=identity,
    )
    store.record(Draft(kind=SIGNED_KIND, subject=version.subject, body=body, holds=(kept.held,)), durable=True)
    return body


def unsigned(version: ModelVersion, why: str) -> Denied:
    """That a version carries no signature that is trusted."""
    return Denied(
        f"{version.ref} carries no signature that is trusted: {why}",
        code="model.unsigned",
        hint="Sign it with a key of [registry] trusted_keys: `charkh model sign NAME@V --key key.pem`.",
    )
