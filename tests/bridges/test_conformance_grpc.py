"""The conformance suite over gRPC, asked of a running `charkh serve` through the command line."""

import json
import os
import subprocess
import sys

from tests.bridges.open_inference import Served

from charkh.endpoints.conformance.probes_grpc import GRPC_PROBES


def test_charkh_keeps_to_the_protocol_over_grpc(open_inference: Served) -> None:
    words = [sys.executable, "-m", "charkh", "conformance", f"grpc://{open_inference.grpc}", "--json"]
    environment = {**os.environ, "CHARKH_TOKEN": open_inference.server.token}
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = json.loads(done.stdout)["verdicts"]
    assert [each for each in verdicts if each["outcome"] == "fail"] == []
    of_server = sum(probe.of_server for probe in GRPC_PROBES)
    assert len(verdicts) == of_server + 3 * (len(GRPC_PROBES) - of_server)


def test_what_a_server_without_a_token_is_told_is_not_taken_for_conformance(open_inference: Served) -> None:
    words = [sys.executable, "-m", "charkh", "conformance", f"grpc://{open_inference.grpc}", "--model", "simple"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 4
    assert "UNAUTHENTICATED" in done.stdout
