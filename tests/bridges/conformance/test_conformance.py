"""The conformance suite against charkh and the real MLServer: the page says of both what they answer."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bridges.conformance.matrix import published, rows
from tests.bridges.conformance.servers import charkh, mlserver

from charkh.endpoints.conformance.examine import PROBES, examine
from charkh.endpoints.conformance.probe import Report
from functional.conftest import Charkh


@pytest.fixture(scope="module")
def ours() -> Iterator[str]:
    with charkh() as url:
        yield url


@pytest.fixture(scope="module")
def report(ours: str) -> Report:
    return examine(ours, control=True)


def test_charkh_keeps_to_the_protocol(report: Report) -> None:
    assert [f"{each.probe} {each.model}: {each.why}" for each in report.failed] == []
    asked = {each.probe for each in report.verdicts if each.outcome == "pass"}
    assert asked == {probe.name for probe in PROBES}, "the two models give occasion for every probe"


@pytest.mark.needs("peer:mlserver")
def test_the_page_says_what_both_answer(report: Report, tmp_path: Path) -> None:
    with mlserver(tmp_path) as url:
        theirs = examine(url, control=True)
    assert theirs.server == "mlserver 1.7.1"
    measured = rows({"charkh": report, "MLServer 1.7.1": theirs})
    assert published() == measured, "python -m tests.bridges.conformance.matrix writes it"


def test_the_command_says_which_probe_failed(charkh: Charkh, ours: str) -> None:
    told = charkh.json("conformance", ours, "--model", "iris", "--group", "binary")
    assert {each["outcome"] for each in told["verdicts"]} == {"pass"}
    assert "metadata.model" in charkh("conformance", ours, "--group", "metadata")
    failing = charkh.fails(4, "conformance", ours, "--model", "no_such_model", "--group", "metadata", "--failed")
    assert "probes" in failing
    elsewhere = charkh.fails(13, "conformance", ours, "--header", "Host: elsewhere.example", "--group", "health")
    assert "lists no model" in elsewhere, "the header is sent, and the server refuses a name that is not its own"
    assert "is no header" in charkh.fails(2, "conformance", ours, "--header", "nonsense")
    assert "there is no group nonsense" in charkh.fails(2, "conformance", ours, "--group", "nonsense")
    assert "does not answer" in charkh.fails(16, "conformance", "http://127.0.0.1:1")
