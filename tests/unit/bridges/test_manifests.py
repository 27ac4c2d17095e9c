"""Manifests are taken apart so that no field is passed over in silence."""

from typing import Any

import pytest

from charkh.bridges.manifests import Fields, Notes, read_manifests, write_manifests
from charkh.core.errors import Invalid

TWO = """\
---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: delay, annotations: {team: ops, rank: 3}}
spec: {predictor: {}}
---
---
apiVersion: mlops.seldon.io/v1alpha1
kind: Model
metadata: {name: other}
"""


def fields(value: object) -> tuple[Fields, Notes]:
    notes = Notes()
    return Fields(value, "m.yaml: spec", notes), notes


def test_documents_are_read_in_order_and_empty_ones_passed_over() -> None:
    first, second = read_manifests(TWO, "m.yaml")
    assert (first.kind, first.name, first.annotations) == ("InferenceService", "delay", {"team": "ops", "rank": "3"})
    assert first.spec == {"predictor": {}}
    assert (second.kind, second.spec, second.where) == ("Model", {}, "m.yaml (document 2)")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no manifest"),
        ("a: [1", "is no YAML"),
        ("- 1", "is no mapping"),
        ("kind: Model\nmetadata: {name: a}", "apiVersion is missing"),
        ("kind: Model\napiVersion: v1", "metadata.name is missing"),
        ("kind: Model\napiVersion: v1\nmetadata: {name: a}\nspec: []\n1: 2", "has the key 1"),
        ("kind: Model\napiVersion: v1\nmetadata: {name: a}\nspec: [1]", "spec is no mapping"),
    ],
)
def test_what_is_no_manifest_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said) as refused:
        read_manifests(text, "m.yaml")
    assert "m.yaml" in refused.value.message


def test_fields_are_honoured_ignored_or_refused() -> None:
    given: dict[str, Any] = {
        "name": "a",
        "replicas": 2,
        "weight": 0.5,
        "on": True,
        "kind": "MODEL",
        "steps": [{"name": "x"}],
        "labels": {"a": 1},
        "tags": ["b"],
        "hpaSpec": {},
        "unset": None,
    }
    found, notes = fields(given)
    assert "name" in found
    assert "unset" not in found
    assert (found.required("name"), found.whole("replicas"), found.number("weight"), found.flag("on")) == (
        "a",
        2,
        0.5,
        True,
    )
    assert found.choice("kind", ("MODEL", "ROUTER"), "MODEL") == "MODEL"
    assert [each.required("name") for each in found.each("steps")] == ["x"]
    assert (found.free("labels"), found.texts("tags"), found.within("none").text("name", "-")) == (
        {"a": 1},
        ("b",),
        "-",
    )
    found.cluster_only("hpaSpec", "not_there")
    found.end()
    assert notes.lines == ("m.yaml: spec.hpaSpec has a meaning in a cluster only and is ignored here",)


@pytest.mark.parametrize(
    ("given", "ask", "said"),
    [
        ({"name": 1.1}, lambda each: each.text("name"), "spec.name is 1.1, and a text is expected"),
        ({"name": ""}, lambda each: each.required("name"), "spec.name is missing"),
        ({"n": True}, lambda each: each.whole("n"), "a whole number is expected"),
        ({"n": False}, lambda each: each.number("n"), "a number is expected"),
        ({"n": "yes"}, lambda each: each.flag("n"), "true or false is expected"),
        ({"n": "X"}, lambda each: each.choice("n", ("A", "B"), "A"), "spec.n is 'X'"),
        ({"n": {}}, lambda each: each.each("n"), "spec.n is no list"),
        ({"n": [1]}, lambda each: each.each("n"), r"spec.n\[0\] is no mapping"),
        ({"n": [1]}, lambda each: each.texts("n"), r"spec.n\[0\] is 1"),
        ({"ssl": {}}, lambda each: each.refuse("ssl", "there is no gateway"), "spec.ssl cannot be honoured"),
        ({"modelUrl": "x"}, lambda each: each.end(), "not known: modelUrl"),
    ],
)
def test_a_field_that_does_not_fit_is_named(given: object, ask: Any, said: str) -> None:
    found, _ = fields(given)
    with pytest.raises(Invalid, match=said):
        ask(found)


def test_what_is_written_is_read_again_in_the_same_order() -> None:
    document = {
        "apiVersion": "v1",
        "kind": "Model",
        "metadata": {"name": "a", "annotations": {"z": "1", "b": "2"}},
        "spec": {"storageUri": "s3://bucket/x", "a": [1, {"b": None}]},
    }
    text = write_manifests([document, document])
    first, _ = read_manifests(text, "w.yaml")
    assert (first.name, first.spec, dict(first.annotations)) == ("a", document["spec"], {"z": "1", "b": "2"})
    assert text.index("z:") < text.index("b: '2'") < text.index("storageUri")
