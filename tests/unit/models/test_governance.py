"""Trust, signatures and approvals: what a decision is bound to, what colleagues decide apart, and what counts."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from charkh.core.errors import Denied, Invalid
from charkh.core.events import Draft
from charkh.models.admit import Rules, admit
from charkh.models.alias import move_alias
from charkh.models.approve import approve, counted, reject, withdraw
from charkh.models.governance_index import PROJECTION as GOVERNANCE
from charkh.models.governance_index import ApprovalsOf, SignaturesOf, TrustDecisions
from charkh.models.index import PROJECTION
from charkh.models.model import ModelVersion
from charkh.models.oms import PublicKey, read_private_key, read_public_key, sign_statement, statement_of, verify_bundle
from charkh.models.register import register
from charkh.models.sbom import Origin, bill_of_materials
from charkh.models.sign import sign, verified_by
from charkh.models.trust import distrust, is_trusted, trust
from charkh.ports.runtimes import Safety, Signature, TensorSpec
from charkh.ports.store import Store
from charkh.testing.projections import assert_order_free, payloads_of
from charkh.testing.stores import memory_store

SIGNATURE = Signature(inputs=(TensorSpec(name="a", datatype="FP64"),), outputs=())
FILES = {"model.bin": b"weights", "conf/labels.txt": b"late\n"}
CURVES = (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())


class Bytes:
    """A runtime that takes any files."""

    name = "bytes"
    libraries: Mapping[str, str] = {"python": "3.11.2", "numpy": "2.3.0"}

    def accepts(self, estimator: object) -> bool:
        return False

    def save(self, estimator: object) -> Mapping[str, bytes]:
        return {}

    def inspect(self, files: Mapping[str, bytes]) -> Safety:
        return Safety(level="inert")

    def load(self, files: Mapping[str, bytes], signature: Signature) -> Any:
        return files, signature


def pems(curve: Any = None) -> tuple[bytes, bytes]:
    """A private and a public key."""
    key = ec.generate_private_key(curve or CURVES[0])
    return private_pem(key), key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def private_pem(key: Any) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


OPS, OPS_PUBLIC = pems()
_, OTHER_PUBLIC = pems()


@pytest.fixture
def store() -> Store:
    return memory_store(PROJECTION, GOVERNANCE, actor="ann@laptop")


def acting(store: Store, actor: str) -> Store:
    return Store(store.journal, store.vault, store.commands, store.queries, store.clock, actor)


def exchange(one: Store, other: Store) -> None:
    """Each gets the facts that the other has and it lacks."""
    for sender, receiver in ((one, other), (other, one)):
        known = set(payloads_of(receiver))
        receiver.journal.append([payload for payload in payloads_of(sender) if payload not in known])


def add(store: Store, files: Mapping[str, bytes] = FILES) -> ModelVersion:
    return register(store, "delay", dict(files), runtimes=(Bytes(),), signature=SIGNATURE)


def keys(*pem: bytes) -> Sequence[PublicKey]:
    return [read_public_key(each) for each in pem]


def test_trust_needs_a_reason_and_names_the_bytes(store: Store) -> None:
    version = add(store)
    with pytest.raises(Invalid, match="reason"):
        trust(store, "delay@1", "  ")
    with pytest.raises(Invalid, match="expired"):
        trust(store, "delay@1", "ours", expires=1.0)
    assert trust(store, "delay@1", "ours") == version.made.tree.root
    (decision,) = store.queries.ask(TrustDecisions(digest=version.made.tree.root))
    assert (decision.actor, decision.reason, decision.trusted, decision.current) == ("ann@laptop", "ours", True, True)


def test_who_trusted_and_who_distrusted_apart_is_settled_by_a_later_decision() -> None:
    ann = memory_store(PROJECTION, GOVERNANCE, actor="ann@laptop")
    bob = memory_store(PROJECTION, GOVERNANCE, actor="bob@desk")
    digest = add(ann).made.tree.root
    exchange(ann, bob)
    trust(ann, "delay@1", "ours")
    distrust(bob, "delay@1", "it calls home")
    assert (is_trusted(ann, digest), is_trusted(bob, digest)) == (True, False)
    exchange(ann, bob)
    assert (is_trusted(ann, digest), is_trusted(bob, digest)) == (False, False)
    trust(ann, "delay@1", "asked bob: it does not")
    exchange(ann, bob)
    assert (is_trusted(ann, digest), is_trusted(bob, digest)) == (True, True)


def test_two_who_trust_apart_are_no_conflict_and_one_distrust_ends_both(store: Store) -> None:
    digest = add(store).made.tree.root
    trust(store, "delay@1", "ours")
    trust(acting(store, "bob@desk"), "delay@1", "mine, too")
    assert is_trusted(store, digest, trusters=("bob",))
    distrust(acting(store, "cid@desk"), "delay@1", "neither")
    assert not is_trusted(store, digest)


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_what_a_key_signed_is_verified_and_nothing_else(store: Store, curve: Any) -> None:
    private, public = pems(curve)
    add(store)
    signed = sign(store, "delay@1", private)
    version = store.queries.ask(SignaturesOf(version=signed.version))[0]
    assert version.signed == signed
    found = add(store)
    assert verified_by(store, found, keys(OTHER_PUBLIC, public)).signed.key == signed.key
    with pytest.raises(Denied, match="it was signed with the key"):
        verified_by(store, found, keys(OTHER_PUBLIC))
    with pytest.raises(Denied, match="no key is trusted"):
        verified_by(store, found, [])


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({**FILES, "model.bin": b"weightz"}, "model.bin is not what was signed"),
        ({**FILES, "more.py": b""}, "more.py was not signed"),
        ({"model.bin": b"weights"}, "conf/labels.txt was signed and is not there"),
        ({"model.bin": FILES["conf/labels.txt"], "conf/labels.txt": FILES["model.bin"]}, "is not what was signed"),
    ],
)
def test_other_files_are_refused(files: Mapping[str, bytes], why: str) -> None:
    bundle = sign_statement(statement_of("delay@1", FILES), read_private_key(OPS))
    verify_bundle(bundle, FILES, keys(OPS_PUBLIC)[0])
    with pytest.raises(Denied, match=why):
        verify_bundle(bundle, files, keys(OPS_PUBLIC)[0])


def test_every_byte_of_a_signature_counts() -> None:
    bundle = sign_statement(statement_of("delay@1", FILES), read_private_key(OPS))
    document: dict[str, Any] = json.loads(bundle)
    key = keys(OPS_PUBLIC)[0]
    payload = base64.b64decode(document["dsseEnvelope"]["payload"])
    forged = payload.replace(b'"name":"delay@1"', b'"name":"delay@2"')
    assert forged != payload
    changes: list[dict[str, Any]] = [
        {"payload": base64.b64encode(forged).decode()},
        {"payloadType": "text/plain"},
        {"signatures": []},
        {"signatures": [*document["dsseEnvelope"]["signatures"]] * 2},
        {"signatures": [{"sig": base64.b64encode(b"x" * 70).decode(), "keyid": ""}]},
    ]
    for change in changes:
        changed = {**document, "dsseEnvelope": {**document["dsseEnvelope"], **change}}
        with pytest.raises(Denied):
            verify_bundle(json.dumps(changed).encode(), FILES, key)
    without_hint: dict[str, Any] = {**document, "verificationMaterial": {"publicKey": {"hint": ""}, "tlogEntries": []}}
    verify_bundle(json.dumps(without_hint).encode(), FILES, key)
    with pytest.raises(Denied, match="not one of this key"):
        verify_bundle(json.dumps(without_hint).encode(), FILES, keys(OTHER_PUBLIC)[0])


KEYS = st.sampled_from(["dsseEnvelope", "payload", "signatures", "sig", "mediaType", "verificationMaterial"])
DOCUMENTS = st.recursive(st.none() | st.text(), lambda each: st.lists(each) | st.dictionaries(KEYS, each))


@given(st.binary(max_size=300) | DOCUMENTS.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=150, deadline=None)
def test_no_bundle_but_a_signed_one_is_taken(data: bytes) -> None:
    with pytest.raises(Denied):
        verify_bundle(data, FILES, keys(OPS_PUBLIC)[0])


def test_keys_that_cannot_be_used_are_named() -> None:
    edwards = ed25519.Ed25519PrivateKey.generate()
    for bad in (b"", b"no key", OPS_PUBLIC, private_pem(edwards), private_pem(ec.generate_private_key(ec.SECP256K1()))):
        with pytest.raises(Invalid, match="cannot be used"):
            read_private_key(bad)
    with pytest.raises(Invalid, match="cannot be used"):
        read_public_key(OPS)


def test_the_policy_asks_by_the_aliases_that_a_version_holds_or_is_to_hold(store: Store) -> None:
    rules = Rules(signed=("production",), keys=lambda: keys(OPS_PUBLIC))
    version = add(store)
    admit(store, version, rules)
    with pytest.raises(Denied, match="nobody has signed it"):
        admit(store, version, rules, alias="production")
    version = move_alias(store, "delay@1", "production")
    with pytest.raises(Denied):
        admit(store, version, rules)
    sign(store, "delay@1", OPS)
    admit(store, version, rules)
    with pytest.raises(Denied, match="is not what was signed"):
        admit(store, version, rules, files={**FILES, "model.bin": b"tampered"})
    other = add(store, {**FILES, "model.bin": b"another"})
    with pytest.raises(Denied):
        admit(store, other, Rules(signed=("*",), keys=lambda: keys(OPS_PUBLIC)))


def test_a_signature_of_another_version_is_refused(store: Store) -> None:
    add(store)
    other = add(store, {**FILES, "model.bin": b"another"})
    signed = sign(store, "delay@1", OPS)
    forged = msgspec.structs.replace(signed, version=other.id, number=2, digest=other.made.tree.root)
    store.record(Draft(kind="model.signed/1", subject=other.subject, body=forged), durable=True)
    with pytest.raises(Denied, match="is not what was signed"):
        verified_by(store, other, keys(OPS_PUBLIC))


def test_four_eyes_and_each_person_once(store: Store) -> None:
    version = add(store)
    with pytest.raises(Denied, match="cannot approve it"):
        approve(acting(store, "ann@another-machine"), "delay@1", "champion", "mine is fine")
    for actor in ("bob@desk", "bob@laptop", "cid@desk"):
        approve(acting(store, actor), "delay@1", "champion", "looked at the slices")
    approve(acting(store, "dan@desk"), "delay@1", "another", "for another gate")
    assert counted(store, version, "champion").people == ("bob", "cid")
    assert counted(store, version, "champion", ["bob"]).people == ("bob",)
    assert "cid@desk has no part in this" in counted(store, version, "champion", ["bob"]).reason
    withdraw(acting(store, "cid@desk"), "delay@1", "champion", "a mistake")
    assert counted(store, version, "champion").people == ("bob",)
    with pytest.raises(Invalid, match="has said nothing"):
        withdraw(acting(store, "eve@desk"), "delay@1", "champion", "never did")
    reject(acting(store, "cid@desk"), "delay@1", "champion", "the night flights")
    assert "the night flights" in counted(store, version, "champion").rejected[0]
    assert counted(store, version, "champion", ["bob"]).rejected == (), "who has no part cannot block"


def test_an_approval_of_another_content_does_not_count(store: Store) -> None:
    version = add(store)
    approve(acting(store, "bob@desk"), "delay@1", "champion", "looked at it")
    other = msgspec.structs.replace(version, made=msgspec.structs.replace(version.made, content="0" * 64))
    assert counted(store, other, "champion").people == ()


def test_the_fold_is_free_of_order(store: Store) -> None:
    version = add(store)
    bob = acting(store, "bob@desk")
    trust(store, "delay@1", "ours")
    distrust(bob, "delay@1", "not ours")
    trust(store, "delay@1", "ours after all")
    sign(store, "delay@1", OPS)
    approve(bob, "delay@1", "champion", "yes")
    reject(bob, "delay@1", "champion", "no")
    questions = [
        TrustDecisions(digest=version.made.tree.root),
        SignaturesOf(version=version.id),
        ApprovalsOf(version=version.id),
    ]
    assert assert_order_free([GOVERNANCE], payloads_of(store), questions, rounds=2)["governance_trust"]


def test_a_bill_of_materials_says_what_is_known_and_nothing_of_today(store: Store) -> None:
    version = add(store)
    origin = Origin("dataset:0123", "flights@3", "ab" * 32)

    def bill() -> bytes:
        return bill_of_materials(version, FILES, datasets=[origin], run="brave-run", description="Late.", tool="0.1")

    assert bill() == bill()
    document = json.loads(bill())
    assert document["metadata"]["component"]["name"] == "delay"
    kinds = {part["name"]: part["type"] for part in document["components"]}
    assert kinds == {
        "conf/labels.txt": "file",
        "model.bin": "file",
        "numpy": "library",
        "python": "platform",
        "flights@3": "data",
    }
