"""OpenSSF Model Signing v1.0: what is signed about files, and the Sigstore bundle that carries it. Pure but for keys.

The bundle (https://docs.sigstore.dev/about/bundle/, v0.3) holds a DSSE envelope (secure-systems-lab/dsse v1) around
an in-toto statement v1 whose predicate lists every file with its SHA-256. Keys are EC keys on P-256, P-384 or P-521,
signed with the hash of the curve's size; the digest of the public key in PEM is the hint in the bundle.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from charkh.core.errors import Denied, Invalid, Unavailable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

SIGNATURE_FILE = "model.sig"
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
MAX_BUNDLE = 16 * 2**20
_CURVES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}


class PublicKey(NamedTuple):
    """A public key that signatures may be verified with.

    Attributes:
        id: SHA-256 of the key in PEM, as bundles name it.
        key: the key.
    """

    id: str
    key: "EllipticCurvePublicKey"


def statement_of(name: str, files: Mapping[str, bytes]) -> dict[str, Any]:
    """The in-toto statement about files: each with its SHA-256, and one digest over all of them, in path order."""
    resources = [
        {"name": path, "algorithm": "sha256", "digest": hashlib.sha256(files[path]).hexdigest()}
        for path in sorted(files)
    ]
    return {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": covered_by(resources)}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": [SIGNATURE_FILE],
            },
            "resources": resources,
        },
    }


def covered_by(resources: list[dict[str, str]]) -> str:
    """SHA-256 over the digests of the resources, in their order."""
    return hashlib.sha256(b"".join(bytes.fromhex(each["digest"]) for each in resources)).hexdigest()


def sign_statement(statement: Mapping[str, Any], key: "EllipticCurvePrivateKey") -> bytes:
    """The bundle of a statement signed with a key, as `model.sig` holds it."""
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    payload = msgspec.json.encode(statement)
    signature = key.sign(_pre_authentication(payload), ECDSA(_hash_of(key.public_key())))
    bundle: dict[str, Any] = {
        "mediaType": BUNDLE_TYPE,
        "verificationMaterial": {"publicKey": {"hint": key_id(key.public_key())}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }
    return msgspec.json.format(msgspec.json.encode(bundle), indent=2)


def verify_bundle(bundle: bytes, files: Mapping[str, bytes], key: PublicKey) -> None:
    """Verify that a key signed exactly these files.

    Args:
        bundle: as `model.sig` holds it.
        files: content by path; one more or one less than was signed is refused.
        key: whose signature it should be.

    Raises:
        Denied: it is the signature of another key or of other files, or none.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA

    payload, signature, hint = open_bundle(bundle)
    if hint and not hmac.compare_digest(hint, key.id):
        raise _refused(f"it was signed with the key {hint[:16]}, not with {key.id[:16]}", "model.other_key")
    try:
        key.key.verify(signature, _pre_authentication(payload), ECDSA(_hash_of(key.key)))
    except InvalidSignature as error:
        raise _refused("the signature is not one of this key over this statement", "model.bad_signature") from error
    require_files(payload, files)


def require_files(payload: bytes, files: Mapping[str, bytes]) -> None:
    """Refuse files that are not exactly those of a signed statement.

    Raises:
        Denied: a file is missing, changed or one too many, or the statement is none.
    """
    signed = _signed_digests(payload)
    found = {path: hashlib.sha256(data).hexdigest() for path, data in files.items()}
    for path in sorted(signed.keys() | found.keys()):
        if path not in found:
            raise _refused(f"{path} was signed and is not there", "model.other_files")
        if path not in signed:
            raise _refused(f"{path} was not signed", "model.other_files")
        if signed[path] != found[path]:
            raise _refused(f"{path} is not what was signed", "model.other_files")


def open_bundle(bundle: bytes) -> tuple[bytes, bytes, str]:
    """The payload of a bundle, its signature, and the hint that says whose key; nothing of it is verified.

    Raises:
        Denied: it is no bundle of this form.
    """
    if len(bundle) > MAX_BUNDLE:
        raise _refused(f"a bundle of {len(bundle)} bytes is none", "model.bad_bundle")
    try:
        document: Any = msgspec.json.decode(bundle)
        envelope = document["dsseEnvelope"]
        (signature,) = envelope["signatures"]
        if document["mediaType"] != BUNDLE_TYPE or envelope["payloadType"] != PAYLOAD_TYPE:
            raise _refused("its types are not those of a model's signature", "model.bad_bundle")
        hint = document["verificationMaterial"].get("publicKey", {}).get("hint", "")
        payload = base64.b64decode(envelope["payload"], validate=True)
        return payload, base64.b64decode(signature["sig"], validate=True), str(hint)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise _refused("it is no Sigstore bundle with one signature", "model.bad_bundle") from error


def _signed_digests(payload: bytes) -> dict[str, str]:
    try:
        statement: Any = msgspec.json.decode(payload)
        resources = [
            {"name": str(each["name"]), "algorithm": str(each["algorithm"]), "digest": str(each["digest"])}
            for each in statement["predicate"]["resources"]
        ]
        (subject,) = statement["subject"]
        kinds = (statement["_type"], statement["predicateType"], statement["predicate"]["serialization"]["method"])
        covered = covered_by(resources)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise _refused("its statement lists no files", "model.bad_bundle") from error
    if kinds != (STATEMENT_TYPE, PREDICATE_TYPE, "files") or {each["algorithm"] for each in resources} - {"sha256"}:
        raise _refused("its statement is not one about whole files with SHA-256", "model.bad_bundle")
    if subject["digest"] != {"sha256": covered} or len({each["name"] for each in resources}) != len(resources):
        raise _refused("its statement contradicts itself", "model.bad_bundle")
    return {each["name"]: each["digest"] for each in resources}


def read_private_key(pem: bytes, password: bytes | None = None) -> "EllipticCurvePrivateKey":
    """A private key in PEM.

    Raises:
        Invalid: it is none, the password is wrong, or its curve is not one of the three.
        Unavailable: `cryptography` is not installed.
    """
    serialization, ec = _cryptography()
    try:
        key = serialization.load_pem_private_key(pem, password)
    except (ValueError, TypeError) as error:
        raise _bad_key("it cannot be read as a private key in PEM, or its password is wrong") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name not in _CURVES:
        raise _bad_key("it is not an EC key on P-256, P-384 or P-521")
    return key


def read_public_key(pem: bytes) -> PublicKey:
    """A public key in PEM.

    Raises:
        Invalid: it is none, or its curve is not one of the three.
        Unavailable: `cryptography` is not installed.
    """
    serialization, ec = _cryptography()
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError) as error:
        raise _bad_key("it cannot be read as a public key in PEM") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise _bad_key("it is not an EC key on P-256, P-384 or P-521")
    return PublicKey(key_id(key), key)


def key_id(key: "EllipticCurvePublicKey") -> str:
    """SHA-256 of a public key in PEM, as bundles name it."""
    serialization, _ = _cryptography()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(key.public_bytes(serialization.Encoding.PEM, form)).hexdigest()


def _hash_of(key: "EllipticCurvePublicKey") -> Any:
    from cryptography.hazmat.primitives import hashes

    return getattr(hashes, _CURVES[key.curve.name])()


def _pre_authentication(payload: bytes) -> bytes:
    """DSSE's encoding of what is signed: type and payload, each with its length before it."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as error:
        raise Unavailable(
            "signatures need a library that is not installed",
            code="model.no_signing",
            hint="Install it: pip install 'charkh[signing]'",
        ) from error
    return serialization, ec


def _refused(why: str, code: str) -> Denied:
    return Denied(
        f"the signature is refused: {why}",
        code=code,
        hint="Compare with what was signed, and by whom: `charkh model verify NAME@V --public-key FILE`.",
    )


def _bad_key(why: str) -> Invalid:
    return Invalid(
        f"the key cannot be used: {why}",
        code="model.bad_key",
        hint="Make one: openssl ecparam -name prime256v1 -genkey -noout -out key.pem; "
        "openssl ec -in key.pem -pubout -out key.pub",
    )
