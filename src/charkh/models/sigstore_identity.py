"""Sign with an identity in place of a key: Sigstore's public services certify it and log the signature for good."""

from collections.abc import Mapping
from typing import Any

import msgspec

from charkh.core.errors import Denied, Unavailable
from charkh.models.oms import PAYLOAD_TYPE, require_files


def sign_by_identity(statement: Mapping[str, Any]) -> tuple[bytes, str]:
    """The bundle of a statement, and the identity that the certificate names.

    The token of a CI system is used where there is one; else a browser opens.

    Raises:
        Unavailable: the library is not installed, nobody signed in, or the services cannot be reached.
    """
    try:
        from sigstore import oidc
        from sigstore.dsse import Statement
        from sigstore.models import ClientTrustConfig
        from sigstore.sign import SigningContext
    except ImportError as error:
        raise _missing() from error
    try:
        config = ClientTrustConfig.production()
        found = oidc.detect_credential()
        token = (
            oidc.IdentityToken(found) if found else oidc.Issuer(config.signing_config.get_oidc_url()).identity_token()
        )
        with SigningContext.from_trust_config(config).signer(token) as signer:
            bundle = signer.sign_dsse(Statement(msgspec.json.encode(statement)))
    except Exception as error:
        raise _unreached(error) from error
    return bundle.to_json().encode(), token.identity


def verify_identity(bundle: bytes, files: Mapping[str, bytes], identity: str, issuer: str) -> None:
    """Verify that an identity, vouched for by an issuer, signed exactly these files.

    Raises:
        Denied: it did not.
        Unavailable: the library is not installed, or Sigstore's keys cannot be fetched.
    """
    try:
        from sigstore.errors import VerificationError
        from sigstore.models import Bundle
        from sigstore.verify import Verifier
        from sigstore.verify.policy import Identity
    except ImportError as error:
        raise _missing() from error
    try:
        verifier = Verifier.production()
    except Exception as error:
        raise _unreached(error) from error
    try:
        kind, payload = verifier.verify_dsse(Bundle.from_json(bundle), Identity(identity=identity, issuer=issuer))
    except (VerificationError, ValueError) as error:
        raise _refused(str(error)[:300]) from error
    if kind != PAYLOAD_TYPE:
        raise _refused("it signs something else than files")
    require_files(payload, files)


def _missing() -> Unavailable:
    return Unavailable(
        "signing with an identity needs a library that is not installed",
        code="model.no_signing",
        hint="Install it: pip install 'charkh[signing]'",
    )


def _unreached(error: Exception) -> Unavailable:
    return Unavailable(
        f"Sigstore did not sign or verify: {type(error).__name__}: {str(error)[:300]}",
        code="model.no_sigstore",
        hint="It needs the network and a sign-in; offline, sign with a key: --key key.pem.",
    )


def _refused(why: str) -> Denied:
    return Denied(f"the signature is refused: {why}", code="model.bad_signature", hint="Look at who signed, and what.")
